"""The mosaic of Yottixel: patches of every colour, from all over the slide.

Source: Kalra et al., "Yottixel - an image search engine for large archives of histopathology whole slide images",
2020; KimiaLabMayo/yottixel (commit 7ef1239), `helper_functions.get_mosaic`. The clusters by colour are of the mean RGB
of each patch, which the code calls its RGB histogram; jacobluber/PathologySearchComparison (commit 361a27d) clusters
real histograms. HERE takes 256-px patches and 20 % of them.
Differs from the official code: k-means runs ten times (`n_init`), as scikit-learn did when it was published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Int64

from src.data.patch_colours import mean_rgb, rgb_histogram
from src.errors import ConfigError, FeatureFileError
from src.index.mosaics.kmeans import check_settings, kmeans
from src.index.mosaics.spread import share_of, spread_patches
from src.interfaces import PatchColours, SlideFeatures

_POINTS: Mapping[str, Callable[[PatchColours], np.ndarray]] = {"mean": mean_rgb, "histogram": rgb_histogram}


@dataclass(frozen=True)
class Yottixel:
    """k-means by colour, then k-means by place within each colour; the patch nearest to each centre is kept.

    Attributes:
        n_clusters: of colours; a slide with fewer patches has fewer.
        percent: of the patches of each colour that are kept, at least one.
        colour: `mean` RGB of a patch, or its 768-bin `histogram`.
        n_init: runs of each k-means, of which the best counts.
        seed: of each k-means.
    """

    n_clusters: int
    percent: float
    colour: str
    n_init: int
    seed: int

    def __post_init__(self) -> None:
        check_settings("yottixel", self.n_clusters, self.percent, self.n_init)
        if self.colour not in _POINTS:
            raise ConfigError(f"mosaic yottixel: colour is {self.colour!r}, expected one of {', '.join(_POINTS)}")

    def select(self, slide: SlideFeatures) -> Int64[np.ndarray, " mosaic"]:
        """Rows of the kept patches, ascending.

        Raises:
            FeatureFileError: the slide's feature file holds no colours.
        """
        points = _POINTS[self.colour](needed_colours(slide))
        labels = kmeans(points, self.n_clusters, self.n_init, self.seed).labels
        return spread_patches(slide.coords, labels, partial(share_of, percent=self.percent), self.n_init, self.seed)


def needed_colours(slide: SlideFeatures) -> PatchColours:
    """The colours of a slide's patches.

    Raises:
        FeatureFileError: its feature file holds none.
    """
    if slide.colours is None:
        raise FeatureFileError(
            f"{slide.slide_id}: its feature file holds no patch colours, by which this mosaic clusters; let histoseek "
            "extract the slide (no features_dir), or choose mosaic=retccl or mosaic=all_patches"
        )
    return slide.colours
