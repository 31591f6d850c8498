"""Slides by their nearest patch: the ranking of PLIP and of HERE's blind evaluation (one patch per slide)."""

from __future__ import annotations

from src.errors import ConfigError
from src.index.rankers.merging import as_hits, merged
from src.interfaces import Neighbours, Ranked, Ranking, Rows


class NearestPatch:
    """Each slide once, by the smallest distance of any of its patches to any query code; score = -distance.

    Args:
        n_neighbours: rows asked for first; the engine asks for more until the best slides are certain.
    """

    ranks: Ranked = "slides"
    is_exhaustive = True
    distance_unit: str | None = None

    def __init__(self, n_neighbours: int) -> None:
        if n_neighbours < 1:
            raise ConfigError(f"ranking nearest_patch: n_neighbours is {n_neighbours}, expected at least 1")
        self.n_neighbours: int | None = n_neighbours

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """The `k` nearest slides; ties go to the smaller slide_id."""
        hits = merged(neighbours, rows).nearest_of_each_slide().first(k)
        return Ranking(query_id, as_hits(hits, 0 - hits.distances, rows))
