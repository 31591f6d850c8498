"""The mosaic of HSHR: the centres of the features' clusters.

Source: Li et al., "Hypergraph-guided slide-level histology retrieval with self-supervised hashing" (HSHR), 2023;
Lucius-lsr/HSHR (commit 58582e6), `utils/feature.py`.
Differs from HSHR: a centre lies where the patch nearest to it does, so that hits have a place; the official search
clusters one random half of a slide's patches, the other half being kept for training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from src.errors import ConfigError
from src.index.mosaics.kmeans import kmeans
from src.interfaces import SlideFeatures


@dataclass(frozen=True)
class Hshr:
    """k-means by features; of each cluster, its centre, at the place of the patch nearest to it.

    Attributes:
        n_clusters: of features; a slide with fewer patches has fewer.
        official_centres: the centre itself is coded, as in paper and code; otherwise the patch nearest to it.
        n_init: runs of k-means, of which the best counts.
        seed: of k-means.
    """

    n_clusters: int
    official_centres: bool
    n_init: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.n_clusters, self.n_init) < 1:
            raise ConfigError(
                f"mosaic hshr: n_clusters is {self.n_clusters} and n_init {self.n_init}, expected at least 1"
            )

    def select(self, slide: SlideFeatures) -> Int64[np.ndarray, " mosaic"]:
        """Rows of the patch nearest to each centre, ascending."""
        return self.summarise(slide)[0]

    def summarise(
        self, slide: SlideFeatures
    ) -> tuple[Int64[np.ndarray, " mosaic"], Float32[np.ndarray, "mosaic feature"]]:
        """The rows that `select` gives, and the centre that each is nearest to, or the features of the patches."""
        clusters = kmeans(slide.features, self.n_clusters, self.n_init, self.seed)
        found = np.unique(clusters.labels)  # equal patches can leave a cluster empty
        members = [np.flatnonzero(clusters.labels == label) for label in found]
        centres = clusters.centres[found].astype(np.float32)
        nearest = np.array([rows[_nearest(slide.features[rows], c)] for rows, c in zip(members, centres, strict=True)])
        order = np.argsort(nearest)
        rows = nearest[order]
        return rows, centres[order] if self.official_centres else slide.features[rows]


def _nearest(points: Float32[np.ndarray, "point dim"], centre: Float32[np.ndarray, " dim"]) -> int:
    return int(np.square(points - centre).sum(axis=1).argmin())
