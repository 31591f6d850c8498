"""The nearest of many vectors: products say which rows to measure, and these are measured pair by pair.

A product reads the vectors as fast as the memory gives them, but rounds a pair by its place, so that equal rows would
not tie. Every row whose product leaves it a chance is measured, so that the answer is that of measuring all of them,
to the last bit, whatever the kernel of the product, the number of threads and the other queries.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

from src.index.indexes.checks import padded
from src.index.indexes.closeness import Closeness
from src.index.indexes.pair_by_pair import as_matrix
from src.index.indexes.products import products
from src.interfaces import Neighbours

_MAX_SCORES = 1 << 23  # at once, 32 MiB
_GROUPS_PER_ANSWER = 16
_MIN_GROUPS = 1024
_FEW = 0.25  # of the rows: measuring so many pairs is faster than a product with all rows


def nearest_vectors(
    queries: Float32[np.ndarray, "query dim"],
    k: int,
    closeness: Closeness,
    excluded: Bool[np.ndarray, " row"] | None,
) -> Neighbours:
    """The `k` nearest rows of each query, nearest first, ties by row.

    Args:
        queries: what they are near to.
        k: answers wanted; those that miss have row -1.
        closeness: the distance, and all rows.
        excluded: rows that are left out.
    """
    n_at_once = max(1, _MAX_SCORES // len(closeness.vectors))
    if len(queries) <= n_at_once:
        return _nearest(queries, k, closeness, excluded)
    starts = range(0, len(queries), n_at_once)
    parts = [_nearest(queries[start : start + n_at_once], k, closeness, excluded) for start in starts]
    return Neighbours(np.concatenate([each.distances for each in parts]), np.concatenate([each.rows for each in parts]))


def _nearest(
    queries: Float32[np.ndarray, "query dim"], k: int, closeness: Closeness, excluded: Bool[np.ndarray, " row"] | None
) -> Neighbours:
    rows = _candidates(queries, k, closeness, excluded)
    distances = closeness.distances(queries, rows)
    query, order = np.arange(len(rows))[:, None], np.argsort(distances, axis=1, kind="stable")[:, :k]  # rows ascend
    return _stated(*padded(distances[query, order], rows[query, order], k))


def _candidates(
    queries: Float32[np.ndarray, "query dim"], k: int, closeness: Closeness, excluded: Bool[np.ndarray, " row"] | None
) -> Int64[np.ndarray, "query place"]:
    """Rows that may be among the nearest of each query, ascending, then -1; at least one place."""
    n_rows = len(closeness.vectors)
    n_allowed = n_rows - (0 if excluded is None else np.count_nonzero(excluded))
    if n_allowed > k and n_allowed * len(queries) > _FEW * n_rows:
        return _by_products(queries, k, closeness, excluded)
    allowed = np.arange(n_rows) if excluded is None else np.flatnonzero(~excluded)
    rows = np.tile(allowed, (len(queries), 1))
    if n_allowed <= k:
        return rows if n_allowed else np.full((len(queries), 1), -1)
    distances = closeness.distances(queries, rows)
    columns = _where(distances <= -_kth_largest(-distances, k)[:, None])
    return np.where(columns < 0, -1, allowed[columns])


def _by_products(
    queries: Float32[np.ndarray, "query dim"], k: int, closeness: Closeness, excluded: Bool[np.ndarray, " row"] | None
) -> Int64[np.ndarray, "query place"]:
    found = products(queries, closeness.vectors)
    if excluded is not None:
        np.copyto(found, np.float32(-np.inf), where=excluded)
    scores = closeness.scores(found)
    threshold = closeness.threshold(_kth_largest(scores, k), queries)
    is_far = scores < threshold[:, None]  # false where a product overflowed
    return _where(~is_far if excluded is None else ~(is_far | excluded))


def _kth_largest(scores: Float32[np.ndarray, "query row"], k: int) -> Float32[np.ndarray, " query"]:
    """What at least `k` scores of each query reach, and few more: the k-th largest of the maxima of groups."""
    n_groups = min(scores.shape[1], max(_MIN_GROUPS, _GROUPS_PER_ANSWER * k))
    n_grouped = scores.shape[1] // n_groups * n_groups
    maxima = scores[:, :n_grouped].reshape(len(scores), -1, n_groups).max(axis=1)
    return np.partition(maxima, n_groups - k, axis=1)[:, n_groups - k]


def _where(is_wanted: Bool[np.ndarray, "query row"]) -> Int64[np.ndarray, "query place"]:
    """Places of each query that are true, then -1."""
    places = np.flatnonzero(is_wanted)
    if len(is_wanted) == 1 and len(places):
        return places[None]
    query, row = np.divmod(places, is_wanted.shape[1])
    return as_matrix(query, row, len(is_wanted))


def _stated(distances: Float32[np.ndarray, "query k"], rows: Int64[np.ndarray, "query k"]) -> Neighbours:
    """Without those that are infinitely far in float32."""
    if not np.isfinite(distances[:, -1]).all():
        rows[np.isinf(distances)] = -1
    return Neighbours(distances, rows)
