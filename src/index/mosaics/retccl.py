"""The mosaic of RetCCL: patches of every look, by the encoder's own features, from all over the slide.

Source: Wang et al., "RetCCL: Clustering-guided contrastive learning for whole-slide image retrieval", 2023; its
repository holds the encoder only, and names jacobluber/PathologySearchComparison (commit 361a27d),
`retccl/generate_mosaics.py`, for retrieval.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Int64

from src.index.mosaics.kmeans import check_settings, kmeans
from src.index.mosaics.spread import share_of, spread_patches
from src.interfaces import SlideFeatures


@dataclass(frozen=True)
class Retccl:
    """k-means by features, then k-means by place within each cluster; the patch nearest to each centre is kept.

    Attributes:
        n_clusters: of features; a slide with fewer patches has fewer.
        percent: of the patches of each cluster that are kept, at least one.
        n_init: runs of each k-means, of which the best counts.
        seed: of each k-means.
    """

    n_clusters: int
    percent: float
    n_init: int
    seed: int

    def __post_init__(self) -> None:
        check_settings("retccl", self.n_clusters, self.percent, self.n_init)

    def select(self, slide: SlideFeatures) -> Int64[np.ndarray, " mosaic"]:
        """Rows of the kept patches, ascending."""
        labels = kmeans(slide.features, self.n_clusters, self.n_init, self.seed).labels
        return spread_patches(slide.coords, labels, partial(share_of, percent=self.percent), self.n_init, self.seed)
