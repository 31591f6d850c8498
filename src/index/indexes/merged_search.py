"""One search of several indexes whose rows follow each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from src.index.indexes.checks import sorted_neighbours
from src.interfaces import Codes, Index, Neighbours


def merged_search(
    indexes: Sequence[Index], queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None
) -> Neighbours:
    """The `k` nearest rows of all indexes, so that none is lost that its own finds; equal distances: the smaller row.

    Args:
        indexes: whose distances can be compared.
        queries: codes that are searched for.
        k: answers wanted.
        excluded: rows of all indexes that are left out.
    """
    distances, rows, start = [], [], 0
    for index in indexes:
        end = start + len(index)
        part = index.search(queries, k, None if excluded is None else excluded[start:end])
        distances.append(part.distances)
        rows.append(np.where(part.rows < 0, -1, part.rows + start))
        start = end
    nearest = sorted_neighbours(np.concatenate(distances, axis=1), np.concatenate(rows, axis=1))
    return Neighbours(nearest.distances[:, :k], nearest.rows[:, :k])
