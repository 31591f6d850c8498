"""Example queries of a report: the best, the worst, and some drawn at random."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from src.eval.report.pictures import unreadable_picture
from src.interfaces import Image

_log = logging.getLogger(__name__)

N_HITS = 5
_N_OF_A_KIND = 4


@dataclass(frozen=True)
class ExampleHit:
    """A hit beside its query; `is_right` when both have the same label."""

    slide_id: str
    label: str
    is_right: bool
    picture: Image


@dataclass(frozen=True)
class Example:
    """A query and its first hits; `kind` is best, worst or random."""

    kind: str
    query_id: str
    label: str
    picture: Image
    hits: tuple[ExampleHit, ...]

    @property
    def n_right(self) -> int:
        """Hits shown that have the query's label."""
        return sum(hit.is_right for hit in self.hits)


def choose_examples(hits: pd.DataFrame, thumbnail: Callable[[str], Image], seed: int) -> list[Example]:
    """Up to four queries of each kind, none twice.

    A query is the better, the more of its first five hits are right and the earlier they come: the mean over
    k = 1 ... 5 of the precision of the first k hits. Equal queries are ordered by the seed.

    Args:
        hits: as `label_hits` gives them.
        thumbnail: picture of a slide; where it fails, a grey tile takes its place.
        seed: of the random choice.
    """
    worst_first = _by_quality(hits, np.random.default_rng(seed))
    ends = min(_N_OF_A_KIND, len(worst_first) // 2)
    best, worst = worst_first[::-1][:ends], worst_first[:ends]
    between = worst_first[ends : len(worst_first) - ends]
    drawn = np.random.default_rng(seed).permutation(len(between))[:_N_OF_A_KIND]
    chosen = {"best": best, "worst": worst, "random": [between[place] for place in drawn]}
    picture = cache(lambda slide_id: _picture(slide_id, thumbnail))
    return [_example(kind, query, hits, picture) for kind, queries in chosen.items() for query in queries]


def _by_quality(hits: pd.DataFrame, rng: np.random.Generator) -> list[str]:
    # A right hit at rank r counts in the precision of every k > r: 1/(r+1) + ... + 1/5.
    weights = np.cumsum(1 / np.arange(N_HITS, 0, -1))[::-1]
    first = hits[hits["rank"] < N_HITS]
    gained = pd.Series(weights[first["rank"].to_numpy(dtype=int)] * first["is_right"].to_numpy(), index=first.index)
    quality = gained.groupby(first["query_id"]).sum()
    shuffled = quality.iloc[rng.permutation(len(quality))]
    return [str(query) for query in shuffled.sort_values(kind="stable").index]


def _example(kind: str, query_id: str, hits: pd.DataFrame, picture: Callable[[str], Image]) -> Example:
    first = hits[(hits["query_id"] == query_id) & (hits["rank"] < N_HITS)]
    columns = first["hit_slide"], first["hit_label"], first["is_right"]
    shown = tuple(
        ExampleHit(slide_id, label, bool(is_right), picture(slide_id))
        for slide_id, label, is_right in zip(*columns, strict=True)
    )
    query_slide, label = first[["query_slide", "query_label"]].iloc[0]
    return Example(kind, query_id, label, picture(query_slide), shown)


def _picture(slide_id: str, thumbnail: Callable[[str], Image]) -> Image:
    try:
        return thumbnail(slide_id)
    # Whatever a broken file raises, a report of other slides has to be written.
    except Exception as error:
        _log.warning("%s: no picture for the report, %s", slide_id, error)
        return unreadable_picture()
