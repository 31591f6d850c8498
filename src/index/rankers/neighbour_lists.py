"""The nearest rows of every row of a database: what a hypergraph of its slides is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from src.data.progress import tracked
from src.interfaces import Codes, Index

_AT_ONCE = 1024  # rows searched for at a time


@dataclass(frozen=True)
class NeighbourLists:
    """For each row of a database the rows nearest to it, nearest first, itself among them.

    Memory is 12 bytes per row and place, whatever the size of the codes.

    Attributes:
        rows: of the index; -1 where there are no more.
        distances: as the index states them; inf where there are no more.
    """

    rows: Int64[np.ndarray, "row place"]
    distances: Float32[np.ndarray, "row place"]

    @staticmethod
    def of(codes: Codes, index: Index, n_places: int) -> NeighbourLists:
        """Search for every code of a database in its index."""
        starts = range(0, len(codes), _AT_ONCE)
        n = min(n_places, len(codes))
        found = [index.search(codes.take(slice(i, i + _AT_ONCE)), n) for i in tracked(starts, "neighbours of all rows")]
        return NeighbourLists(
            np.concatenate([part.rows for part in found]), np.concatenate([part.distances for part in found])
        )

    def counts(self, is_allowed: Bool[np.ndarray, " row"], n_counted: int) -> Float64[np.ndarray, "row place"]:
        """What each place counts; a row that is not allowed counts 0 and leaves its place to the next.

        Args:
            is_allowed: whether a row takes part.
            n_counted: places that count.
        """
        takes_part = self._takes_part(is_allowed)
        place = np.cumsum(takes_part, axis=1) - 1
        of_place = fading(n_counted, self.rows.shape[1])
        counts: np.ndarray = np.where(takes_part & is_allowed[:, None], of_place[np.maximum(place, 0)], 0.0)
        return counts

    def counts_of_newcomer(
        self,
        rows: Int64[np.ndarray, " pair"],
        distances: Float32[np.ndarray, " pair"],
        is_allowed: Bool[np.ndarray, " row"],
        n_counted: int,
    ) -> Float64[np.ndarray, " pair"]:
        """What a code that is not in the database would count in the lists of `rows`, behind those as near as it."""
        holds_all = self.rows.shape[1] == len(self.rows)
        reach = np.inf if holds_all else self.distances[rows, -1]
        near = np.flatnonzero(distances < reach)  # the others are behind every row that is listed
        is_before = self.distances[rows[near]] <= distances[near, None]
        place = (is_before & self._takes_part(is_allowed, rows[near])).sum(axis=1)
        counts = np.zeros(len(rows))
        counts[near] = fading(n_counted, self.rows.shape[1] + 1)[place]
        return counts

    def _takes_part(
        self, is_allowed: Bool[np.ndarray, " row"], lists: Int64[np.ndarray, " list"] | slice = slice(None)
    ) -> Bool[np.ndarray, "list place"]:
        rows = self.rows[lists]
        return np.asarray((rows >= 0) & is_allowed[rows])


def fading(n_counted: int, n_places: int) -> Float64[np.ndarray, " place"]:
    """1 - ln(i + 1) / ln(n + 1) for the first n places, 0 for the others.

    >>> fading(3, 5).round(3).tolist()
    [1.0, 0.5, 0.208, 0.0, 0.0]
    """
    place = np.arange(n_places)
    fading: np.ndarray = 1 - np.log(place + 1) / np.log(n_counted + 1)
    return np.where(place < n_counted, fading, 0.0)
