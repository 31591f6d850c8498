"""The centroids of inverted lists, fitted in two levels where there are many.

Source: the two-level clustering of faiss (`contrib/clustering.py`, Douze et al., "The Faiss library", 2024). Differs
from it: a group may be so small that it gets no centroid, and all centroids move together at the end, because groups
that are fitted apart split clusters at their borders.
"""

from __future__ import annotations

import math

import faiss
import numpy as np
from jaxtyping import Float32, Int64

_MOST_AT_ONCE = 512  # one level up to here: it finds slightly better centroids, and takes few seconds
_ITERATIONS = 10
_ITERATIONS_TOGETHER = 2
VECTORS_PER_CENTROID = 64  # that k-means looks at; more of them take longer and find much the same


def fit_centroids(
    vectors: Float32[np.ndarray, "row dim"], n_centroids: int, most_at_once: int = _MOST_AT_ONCE
) -> Float32[np.ndarray, "centroid dim"]:
    """k-means, whose cost grows with `n_centroids` up to `most_at_once` and then mostly with its square root.

    Args:
        vectors: at least as many as centroids.
        n_centroids: wanted.
        most_at_once: centroids up to which there is one level.
    """
    if n_centroids <= most_at_once:
        return _kmeans(vectors, n_centroids, _ITERATIONS)
    groups = _kmeans(vectors, round(math.sqrt(n_centroids)), _ITERATIONS)
    group = faiss.knn(vectors, groups, 1)[1][:, 0]
    shares = shared_out(n_centroids, np.bincount(group, minlength=len(groups)))
    parts = [_kmeans(vectors[group == place], int(n), _ITERATIONS) for place, n in enumerate(shares) if n]
    return _kmeans(vectors, n_centroids, _ITERATIONS_TOGETHER, np.concatenate(parts))


def shared_out(n: int, sizes: Int64[np.ndarray, " group"]) -> Int64[np.ndarray, " group"]:
    """`n` things shared among groups by their sizes, to the largest remainders what is left over.

    >>> shared_out(5, np.array([10, 29, 1])).tolist()
    [1, 4, 0]
    """
    exact = n * sizes / sizes.sum()
    shares: np.ndarray = np.floor(exact).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: n - shares.sum()]] += 1
    return shares


def _kmeans(
    vectors: Float32[np.ndarray, "row dim"],
    n_centroids: int,
    n_iterations: int,
    start: Float32[np.ndarray, "centroid dim"] | None = None,
) -> Float32[np.ndarray, "centroid dim"]:
    kmeans = faiss.Kmeans(
        vectors.shape[1],
        n_centroids,
        niter=n_iterations,
        min_points_per_centroid=1,
        max_points_per_centroid=VECTORS_PER_CENTROID,
    )
    kmeans.train(np.ascontiguousarray(vectors), init_centroids=start)
    centroids: np.ndarray = kmeans.centroids
    return centroids
