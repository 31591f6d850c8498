"""A sample of a slide's patches in which each of its clusters has its share.

Source: PathSearch (see `slide_encoder`), `dataset/PathSearchTrainingDataset.py`.
Differs from it: k-means is scikit-learn's; a slide with fewer clusters than asked for shares all among those it has.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

_CLOSE_SHARE = 2  # one in so many of a cluster's patches is one of the closest


class Strata(NamedTuple):
    """The clusters of a slide, rows of each by their distance to its centre."""

    rows: tuple[Int64[np.ndarray, " member"], ...]


def quotas(counts: Int64[np.ndarray, " cluster"], n: int) -> Int64[np.ndarray, " cluster"]:
    """How many of `n` each cluster gets: one, and of the rest its share; what is left goes to the largest fractions.

    Equal fractions are served as torch.topk orders them.

    Args:
        counts: members of each cluster, at least one.
        n: at least as many as clusters.

    >>> quotas(np.array([6, 3, 1]), 8).tolist()
    [4, 3, 1]
    """
    size = torch.from_numpy(counts).float()  # as official: other floats could order fractions otherwise
    shares = size / size.sum() * (n - len(counts))
    quota = 1 + shares.floor().long()
    n_left = n - int(quota.sum())
    quota[torch.topk(shares - shares.floor(), n_left).indices] += 1
    return quota.numpy()


def stratify(features: Float32[np.ndarray, "patch feature"], n_clusters: int, seed: int) -> Strata:
    """k-means of a slide's patches, started once; each cluster's patches by distance to its centre, then by row."""
    model = KMeans(min(n_clusters, len(features)), n_init=1, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():  # whose sums do not depend on the number of threads
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct patches than clusters
        model.fit(features)
    distances = np.square(features - model.cluster_centers_[model.labels_]).sum(axis=1)
    by_distance = np.argsort(distances, kind="stable")
    return Strata(tuple(by_distance[model.labels_[by_distance] == label] for label in np.unique(model.labels_)))


def sample(strata: Strata, n: int, rng: np.random.Generator) -> Int64[np.ndarray, " n"]:
    """Rows of `n` patches: all clusters by their quota, half of each the closest to its centre, the others random.

    A slide of at most `n` patches is drawn from with replacement, whatever its clusters.
    """
    n_patches = sum(map(len, strata.rows))
    if n_patches <= n:
        return rng.integers(0, n_patches, n)
    shares = quotas(np.array([len(rows) for rows in strata.rows]), n)
    return np.concatenate([_of_cluster(rows, int(q), rng) for rows, q in zip(strata.rows, shares, strict=True)])


def _of_cluster(
    rows: Int64[np.ndarray, " member"], quota: int, rng: np.random.Generator
) -> Int64[np.ndarray, " drawn"]:
    n_close = max(1, quota // _CLOSE_SHARE)
    close, others = rows[:n_close], rows[n_close:]
    n_random = quota - len(close)
    pool = others if len(others) else rows
    return np.concatenate([close, rng.choice(pool, n_random, replace=n_random > len(pool))])
