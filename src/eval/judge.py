"""Rankings and labels become judged rankings.

Left out and counted are queries that have no label and queries without any other item of their label in the database
that they are allowed. Hits without a label cannot be judged: they are removed before ranks are counted (`drop`), or
stay and are wrong (`wrong`); the counts of the database follow the same choice. Where hits are aggregated, to patients
for example, the first hit of each patient is its answer, and patients are counted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Int64

from src.errors import CohortError, HistoseekError
from src.eval.judged import Judged
from src.eval.metrics import NO_HIT, UNLABELLED
from src.eval.protocols import RetrievalProtocol, Unlabelled

NO_LABEL = "without a label"
NOTHING_RELEVANT = "without a relevant item in their database"


def judge_by(protocol: RetrievalProtocol, rankings: pd.DataFrame, table: pd.DataFrame) -> Judged:
    """Judge the rankings of a protocol by its own label; arguments as of `judge` and `RetrievalProtocol.items`."""
    return judge(rankings, protocol.items(table), protocol.labels(table), protocol.unlabelled)


def judge(rankings: pd.DataFrame, items: pd.DataFrame, labels: pd.Series, unlabelled: Unlabelled = "drop") -> Judged:
    """Put a label on every hit and count what could have been found.

    Args:
        rankings: as `load_rankings` gives them.
        items: everything that is asked or searched, as `RetrievalProtocol.items` gives it.
        labels: label of each slide, indexed by slide_id; missing, NaN and blank are all unlabelled.
        unlabelled: what becomes of hits without a label.

    Raises:
        HistoseekError: a ranking names something unknown, or something that the protocol leaves out.
        CohortError: no query can be judged.
    """
    codes, class_names = _label_codes(labels)
    known = items.assign(label=items["slide_id"].map(codes).fillna(UNLABELLED).astype(np.int64)).set_index("item_id")
    queries = rankings.drop_duplicates("query_id").reset_index(drop=True)
    asked = _look_up(known, queries["query_id"])
    hits = _hits(rankings, queries, asked, known)
    if unlabelled == "drop":
        hits = hits[hits["label"] != UNLABELLED]
    hits = hits.drop_duplicates(["query", "answer"])
    counted = known[known["is_database"] & ((known["label"] != UNLABELLED) | (unlabelled == "wrong"))]
    n_allowed, n_relevant = (_n_answers(counted, asked, same) for same in (["scope"], ["scope", "label"]))
    return _judged(queries, asked["label"].to_numpy(), _matrix(hits, len(queries)), n_relevant, n_allowed, class_names)


def _label_codes(labels: pd.Series) -> tuple[pd.Series, tuple[str, ...]]:
    """Code of each labelled slide, and the class that each code stands for, in alphabetical order."""
    text = labels.dropna().astype(str).str.strip()
    text = text[text != ""]
    codes, names = pd.factorize(text, sort=True)
    return pd.Series(codes, index=text.index.astype(str)), tuple(str(name) for name in names)


def _look_up(known: pd.DataFrame, item_ids: pd.Series) -> pd.DataFrame:
    unknown = ~item_ids.isin(known.index)
    if unknown.any():
        name = item_ids[unknown].iloc[0]
        raise HistoseekError(f"rankings: {name} is not in the cohort table; judge with the table that was searched")
    return known.loc[item_ids].reset_index(drop=True)


def _hits(rankings: pd.DataFrame, queries: pd.DataFrame, asked: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Query's position and label code of each hit, in ranked order."""
    found = rankings[rankings["rank"] >= 0].sort_values("rank", kind="stable")
    hit = _look_up(known, found["hit_id"])
    query = pd.Index(queries["query_id"]).get_indexer(found["query_id"].to_numpy())
    its_own = hit["group"].to_numpy() == asked["group"].to_numpy()[query]
    elsewhere = hit["scope"].to_numpy() != asked["scope"].to_numpy()[query]
    is_left_out = its_own | elsewhere | ~hit["is_database"].to_numpy()
    if is_left_out.any():
        first = found[is_left_out].iloc[0]
        pair = f"query {first['query_id']} found {first['hit_id']}"
        raise HistoseekError(f"rankings: {pair}, which the protocol leaves out; search again under this protocol")
    return pd.DataFrame({"query": query, "label": hit["label"], "answer": hit["answer"]})


def _n_answers(counted: pd.DataFrame, asked: pd.DataFrame, same: list[str]) -> Int64[np.ndarray, " query"]:
    """Answers that agree with each query in `same`, less those that are of its own group alone."""
    answers = counted.groupby([*same, "answer"])["group"].agg(["first", "nunique"]).reset_index()
    of_one_group = answers[answers["nunique"] == 1].rename(columns={"first": "group"})
    n_answers: np.ndarray = _sizes(answers, asked[same]) - _sizes(of_one_group, asked[[*same, "group"]])
    return n_answers


def _sizes(answers: pd.DataFrame, queries: pd.DataFrame) -> Int64[np.ndarray, " query"]:
    """How many answers agree with each query in all of its columns."""
    columns = list(queries)
    sizes = answers.groupby(columns).size().rename("size").reset_index()
    found = queries.merge(sizes, on=columns, how="left")["size"].fillna(0)
    return np.asarray(found, dtype=np.int64)


def _matrix(hits: pd.DataFrame, n_queries: int) -> Int64[np.ndarray, "query rank"]:
    place = hits.groupby("query").cumcount().to_numpy(dtype=np.int64)
    matrix = np.full((n_queries, int(place.max(initial=-1)) + 1), NO_HIT, dtype=np.int64)
    matrix[hits["query"].to_numpy(), place] = hits["label"].to_numpy()
    return matrix


def _judged(
    queries: pd.DataFrame,
    label: Int64[np.ndarray, " query"],
    hit_label: Int64[np.ndarray, "query rank"],
    n_relevant: Int64[np.ndarray, " query"],
    n_allowed: Int64[np.ndarray, " query"],
    class_names: tuple[str, ...],
) -> Judged:
    has_label = label != UNLABELLED
    kept = has_label & (n_relevant > 0)
    dropped = {NO_LABEL: int((~has_label).sum()), NOTHING_RELEVANT: int((has_label & ~kept).sum())}
    if not kept.any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise CohortError(f"rankings: none of {len(queries)} queries can be judged ({reasons}); choose another label")
    return Judged(
        query_ids=tuple(queries.loc[kept, "query_id"]),
        query_patients=tuple(queries.loc[kept, "query_patient"]),
        query_label=label[kept],
        hit_label=hit_label[kept],
        n_relevant=n_relevant[kept],
        n_allowed=n_allowed[kept],
        class_names=class_names,
        dropped=dropped,
    )
