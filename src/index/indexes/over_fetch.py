"""Leaving rows out of the answers of a search that cannot leave them out itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from src.index.indexes.checks import padded, sorted_neighbours
from src.interfaces import Neighbours

Found = tuple[Float32[np.ndarray, "query k"], Int64[np.ndarray, "query k"]]

_FACTOR = 4


def over_fetched(
    search: Callable[[int], Found], n_rows: int, k: int, excluded: Bool[np.ndarray, " row"] | None
) -> Neighbours:
    """The `k` nearest allowed rows of each query among all that the search gives when it is asked for every row.

    More and more rows are asked for, until each query has `k` allowed ones or the search gives no more.

    Args:
        search: distances and rows for a number of answers, nearest first; row -1 where there are fewer.
        n_rows: of the index.
        k: answers wanted.
        excluded: rows that are left out.
    """
    is_excluded = np.zeros(n_rows, dtype=bool) if excluded is None else excluded
    n_wanted = min(n_rows, k + min(int(is_excluded.sum()), _FACTOR * k))
    while True:
        distances, rows = search(n_wanted)
        is_allowed = (rows >= 0) & ~is_excluded[rows]
        is_done = (is_allowed.sum(axis=1) >= k) | (rows[:, -1] < 0)
        if is_done.all() or n_wanted == n_rows:
            return _first(k, np.where(is_allowed, distances, np.inf), np.where(is_allowed, rows, -1))
        n_wanted = min(n_rows, _FACTOR * n_wanted)


def _first(k: int, distances: Float32[np.ndarray, "query n"], rows: Int64[np.ndarray, "query n"]) -> Neighbours:
    nearest = sorted_neighbours(distances.astype(np.float32), rows)
    return Neighbours(*padded(nearest.distances[:, :k], nearest.rows[:, :k], k))
