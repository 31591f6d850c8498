"""Which hits share the label of their query, counted from saved rankings."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from src.eval.protocols import Unlabelled

NO_LABEL = "(no label)"


def label_hits(
    rankings: pd.DataFrame,
    labels: pd.Series,
    query_ids: Iterable[str],
    unlabelled: Unlabelled = "drop",
    answer_of: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The hits of the judged queries with their labels, best first.

    Args:
        rankings: rows of `rankings.parquet`.
        labels: label by slide_id; missing or blank is unlabelled.
        query_ids: the judged queries; one without a label is left out.
        unlabelled: hits without a label are left out before ranks are counted, or stay and are wrong.
        answer_of: hit_id -> what counts once, by its first hit; every hit counts where None.

    Returns:
        `rankings` with `query_slide`, `query_label`, `hit_label`, `is_right`, and `rank` counted anew from 0.
    """
    known = known_labels(labels)
    slides = {query: slide_of(query, known) for query in query_ids}
    hits = rankings[rankings["query_id"].isin(slides)].sort_values(["query_id", "rank"])
    hits = hits.assign(query_slide=hits["query_id"].map(slides), hit_label=hits["hit_slide"].map(known))
    hits = hits.assign(query_label=hits["query_slide"].map(known))
    hits = hits[hits["rank"] >= 0].fillna({"hit_label": NO_LABEL} if unlabelled == "wrong" else {})
    hits = hits.dropna(subset=["query_label", "hit_label"])
    if answer_of is not None:
        hits = hits[~hits.assign(answer=hits["hit_id"].map(answer_of)).duplicated(["query_id", "answer"])]
    return hits.assign(rank=hits.groupby("query_id").cumcount(), is_right=hits["query_label"] == hits["hit_label"])


def known_labels(labels: pd.Series) -> dict[str, str]:
    """Label by slide_id, without the slides whose label is missing or blank."""
    texts = {str(slide_id): str(label).strip() for slide_id, label in labels.dropna().items()}
    return {slide_id: text for slide_id, text in texts.items() if text}


def slide_of(query_id: str, slide_ids: Container[str]) -> str:
    """The slide of a query that may be a patch, written "slide_id@x,y".

    >>> slide_of("A@10,20", {"A"}), slide_of("A@b", {"A@b"})
    ('A', 'A@b')
    """
    return query_id if query_id in slide_ids or "@" not in query_id else query_id.rpartition("@")[0]


def first_hit_confusion(hits: pd.DataFrame) -> tuple[Int[np.ndarray, "label label"], list[str]]:
    """How often a query of class `row` has a first hit of class `column`, and the classes, sorted."""
    first = hits[hits["rank"] == 0]
    names = sorted({*first["query_label"], *first["hit_label"]})
    table = pd.crosstab(first["query_label"], first["hit_label"]).reindex(index=names, columns=names, fill_value=0)
    return table.to_numpy(dtype=np.int64), names


def mean_precision_at_rank(hits: pd.DataFrame, n_queries: int, deepest: int) -> Float[np.ndarray, " rank"]:
    """Mean over the queries of the share of right hits among the first k, k = 1 ... deepest.

    The denominator is k: a query with fewer than k hits counts its missing ones as wrong.
    """
    right = hits[hits["is_right"]].groupby("rank").size().reindex(range(deepest), fill_value=0)
    return right.cumsum().to_numpy(dtype=np.float64) / np.arange(1, deepest + 1) / max(n_queries, 1)
