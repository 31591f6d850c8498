"""k-means that gives the same clusters whatever the number of threads and workers.

scikit-learn adds up each thread's share of the points in the order in which threads end; one thread has one order.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int32, Shaped
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from src.errors import ConfigError
from src.models.one_thread import one_thread


class Clusters(NamedTuple):
    """The cluster of each point, and the centre of each cluster; equal points can leave a cluster empty."""

    labels: Int32[np.ndarray, " point"]
    centres: Float[np.ndarray, "cluster dim"]


def kmeans(points: Shaped[np.ndarray, "point dim"], n_clusters: int, n_init: int, seed: int) -> Clusters:
    """The best of `n_init` clusterings of at least one point; fewer points than clusters are a cluster each."""
    model = KMeans(min(n_clusters, len(points)), n_init=n_init, random_state=seed)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        model.fit(points)
    return Clusters(model.labels_, model.cluster_centers_)


def check_settings(mosaic: str, n_clusters: int, percent: float, n_init: int) -> None:
    """Raise a ConfigError for a mosaic that would keep nothing or cluster nothing."""
    if min(n_clusters, n_init) < 1:
        raise ConfigError(
            f"mosaic {mosaic}: n_clusters is {n_clusters} and n_init {n_init}, expected at least 1; set them in "
            f"conf/mosaic/{mosaic}.yaml"
        )
    if not 0 < percent <= 100:
        raise ConfigError(f"mosaic {mosaic}: percent is {percent:g}, expected more than 0 and at most 100")
