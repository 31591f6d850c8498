"""Unit vectors within a cosine distance: found by one matrix product, then measured pair by pair.

The product of two matrices rounds a pair by its place, so that equal rows would not tie. It only says which rows to
measure; their distances are those of an exhaustive search, to the last bit.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

from src.index.indexes.pair_by_pair import as_matrix, cosine_distances
from src.interfaces import Neighbours

_ROUNDING = 1e-4
_AT_ONCE = 4096  # rows, so that a product stays in the cache


def near_vectors(
    queries: Float32[np.ndarray, "query dim"],
    vectors: Float32[np.ndarray, "row dim"],
    max_distance: float,
    excluded: Bool[np.ndarray, " row"] | None,
) -> Neighbours:
    """Every row within a distance of each query, nearest first, ties by row; others are missing.

    Args:
        queries: unit vectors.
        vectors: unit vectors.
        max_distance: 1 - cosine, at most.
        excluded: rows that are left out.
    """
    rows = _candidates(queries, vectors, 1 - max_distance - _ROUNDING, excluded)
    distances = cosine_distances(queries, vectors, rows)
    is_far = distances.astype(np.float64) > max_distance
    distances, rows = np.where(is_far, np.float32(np.inf), distances), np.where(is_far, -1, rows)
    order = np.argsort(distances, axis=1, kind="stable")  # rows ascend
    return Neighbours(np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1))


def _candidates(
    queries: Float32[np.ndarray, "query dim"],
    vectors: Float32[np.ndarray, "row dim"],
    min_product: float,
    excluded: Bool[np.ndarray, " row"] | None,
) -> Int64[np.ndarray, "query place"]:
    """Rows that may be near to each query, ascending, then -1; at least one place."""
    pairs = []
    for start in range(0, len(vectors), _AT_ONCE):
        may_be_near = vectors[start : start + _AT_ONCE] @ queries.T >= min_product
        if excluded is not None:
            may_be_near[excluded[start : start + _AT_ONCE]] = False
        pairs.append(np.flatnonzero(may_be_near) + start * len(queries))
    row, query = np.divmod(np.concatenate(pairs), len(queries))
    by_query = np.argsort(query.astype(np.min_scalar_type(len(queries))), kind="stable")
    return as_matrix(query[by_query], row[by_query], len(queries))
