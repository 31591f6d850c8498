"""Every row is an answer: patch-level retrieval, and slides that are one patch each."""

from __future__ import annotations

from src.errors import ConfigError
from src.index.rankers.merging import as_hits, merged
from src.interfaces import Neighbours, Ranked, Ranking, Rows


class Patches:
    """The nearest patches as they are; score = -distance.

    Args:
        n_neighbours: rows asked for first; the engine asks for more when `k` is larger.
    """

    ranks: Ranked = "patches"
    is_exhaustive = True
    distance_unit: str | None = None

    def __init__(self, n_neighbours: int) -> None:
        if n_neighbours < 1:
            raise ConfigError(f"ranking patches: n_neighbours is {n_neighbours}, expected at least 1")
        self.n_neighbours: int | None = n_neighbours

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """The `k` patches nearest to any query code; ties go to the smaller slide_id, then x, y."""
        hits = merged(neighbours, rows).first(k)
        return Ranking(query_id, as_hits(hits, 0 - hits.distances, rows))
