"""Slides by the sum of their hits' ranks, as HERE orders whole slides (`image_search_main` of its portal).

Hit i of n, counted from 0 by distance, gives n - i to its slide.
Differs from HERE: slides with equal sums are ordered by their nearest patch, then by slide_id, because the official
`np.argsort(sums)[::-1]` leaves ties to the sorting algorithm; `official_ties` brings that back.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from src.errors import ConfigError
from src.index.rankers.merging import as_hits, merged
from src.interfaces import Neighbours, Ranked, Ranking, Rows


class RankSum:
    """Many near hits raise a slide; a slide without a hit is not ranked, so that fewer than `k` may be named.

    Hits of several query codes are merged by distance, each row once, and the first `n_neighbours` count.

    Args:
        n_neighbours: hits that count (100 in HERE's portal).
        official_ties: order equal sums as the official code does.
    """

    ranks: Ranked = "slides"
    is_exhaustive = False
    distance_unit: str | None = None

    def __init__(self, n_neighbours: int, official_ties: bool) -> None:
        if n_neighbours < 1:
            raise ConfigError(f"ranking rank_sum: n_neighbours is {n_neighbours}, expected at least 1")
        self.n_neighbours: int | None = n_neighbours
        self.official_ties = official_ties

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """The `k` slides of the largest rank sum (the score), each with its nearest patch."""
        hits = merged(neighbours, rows).first(self.n_neighbours)
        slides = hits.nearest_of_each_slide()
        sums = _rank_sums(hits.slides, slides.slides)
        # `slides` comes nearest first, so that a stable sort leaves ties to the smaller distance.
        order = np.argsort(sums)[::-1] if self.official_ties else np.argsort(-sums, kind="stable")
        best = order[:k]
        return Ranking(query_id, as_hits(slides.take(best), sums[best], rows))


def _rank_sums(
    slide_of_hit: Int64[np.ndarray, " hit"], slides: Int64[np.ndarray, " slide"]
) -> Int64[np.ndarray, " slide"]:
    """Sum of n - i over the hits of each of `slides`.

    >>> _rank_sums(np.array([7, 7, 3]), np.array([7, 3])).tolist()
    [5, 1]
    """
    rank_scores = np.arange(len(slide_of_hit), 0, -1)
    sums: np.ndarray = np.bincount(slide_of_hit, weights=rank_scores)[slides]
    return sums.astype(np.int64)
