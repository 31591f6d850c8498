"""Spots that look alike: clusters of the vectors of their patches.

Source: HERE (data2intelligence/HERE_training, `generate_data_for_hereapp.py`): features standardised within the slide,
then k-means with 8 clusters. The paper's text says vectors of length one, the legend of its Fig. 6a hierarchical
clustering; the code's reading is the default.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler, normalize

from src.errors import ConfigError

Scaling = Literal["z_score", "unit_norm"]
"""Before clustering: each column with mean 0 and variance 1 over the slide, or each row of length one."""


def cluster_patches(
    features: Float32[np.ndarray, "spot feature"], n_clusters: int = 8, scaling: Scaling = "z_score", seed: int = 42
) -> Int64[np.ndarray, " spot"]:
    """Cluster of each spot, from 0.

    Raises:
        ConfigError: there are fewer spots than clusters, or fewer than two clusters.
    """
    if not 2 <= n_clusters <= len(features):
        raise ConfigError(
            f"{n_clusters} clusters of {len(features)} spots; give at least 2 and at most as many as spots"
        )
    scaled = StandardScaler().fit_transform(features) if scaling == "z_score" else normalize(features)
    found: np.ndarray = KMeans(n_clusters, n_init="auto", random_state=seed).fit_predict(scaled)
    return found.astype(np.int64)
