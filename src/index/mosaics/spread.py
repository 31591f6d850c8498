"""The second step of every published mosaic: of each cluster, patches that are spread over the slide."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int, Int64
from sklearn.metrics.pairwise import euclidean_distances

from src.index.mosaics.kmeans import kmeans

_CENTRES_AT_ONCE = 256


def spread_patches(
    coords: Int64[np.ndarray, "patch 2"],
    labels: Int[np.ndarray, " patch"],
    n_kept: Callable[[int], int],
    n_init: int,
    seed: int,
) -> Int64[np.ndarray, " mosaic"]:
    """The patches nearest to the centres of a k-means over each cluster's places.

    Args:
        coords: top-left corners, level-0 pixels.
        labels: cluster of each patch.
        n_kept: how many patches a cluster of a size keeps, 1 to the size.
        n_init: of the k-means.
        seed: of the k-means.

    Returns:
        Rows of `coords`, ascending.
    """
    kept = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        n = n_kept(len(rows))
        # Every patch is its own centre where all are kept.
        kept.append(rows if n == len(rows) else rows[_nearest_to_centres(coords[rows], n, n_init, seed)])
    return np.sort(np.concatenate(kept))


def share_of(size: int, percent: float) -> int:
    """How many patches of a cluster Yottixel and RetCCL keep: `percent` of them, rounded down, and at least one.

    >>> [share_of(size, 20.0) for size in (1, 9, 10, 15)]
    [1, 1, 2, 3]
    """
    return max(1, int(size * percent / 100))


def nearest_untaken(
    points: Int64[np.ndarray, "point 2"], centres: Float[np.ndarray, "centre 2"]
) -> Int64[np.ndarray, " centre"]:
    """The point nearest to each centre that no earlier centre has taken, the first of equals; centres <= points."""
    is_free = np.ones(len(points), dtype=bool)
    nearest = np.empty(len(centres), dtype=np.int64)
    for i, distances in enumerate(_distances_to_each(centres, points)):
        nearest[i] = np.argmin(np.where(is_free, distances, np.inf))
        is_free[nearest[i]] = False
    return nearest


def _distances_to_each(
    centres: Float[np.ndarray, "centre 2"], points: Int64[np.ndarray, "point 2"]
) -> Iterator[Float[np.ndarray, " point"]]:
    # scikit-learn's own distances, as the official codes take them: on a grid, rounding decides between equals.
    for start in range(0, len(centres), _CENTRES_AT_ONCE):
        yield from euclidean_distances(points, centres[start : start + _CENTRES_AT_ONCE]).T


def _nearest_to_centres(
    coords: Int64[np.ndarray, "patch 2"], n: int, n_init: int, seed: int
) -> Int64[np.ndarray, " mosaic"]:
    return nearest_untaken(coords, kmeans(coords, n, n_init, seed).centres)
