"""The mosaic of SISH: Yottixel's by colour histogram, without white patches, and with all of the rare colours.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `extract_mosaic.py` and `artifacts_removal.py`.
Differs from SISH: a mosaic is a patch of the grid, the one nearest to a centre, as its features are at hand; the
official code reads a new patch at the centre itself, off the grid, and repeats the test for white on it. Pen marks,
blur and folds are not removed: that takes the classifier of local binary patterns that SISH offers for download.
A slide of fewer than nine patches has fewer clusters (official: an error), and a slide that is all white keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Int64

from src.data.patch_colours import bright_fraction, rgb_histogram
from src.index.mosaics.kmeans import check_settings, kmeans
from src.index.mosaics.spread import spread_patches
from src.index.mosaics.yottixel import needed_colours
from src.interfaces import PatchColours, SlideFeatures


@dataclass(frozen=True)
class Sish:
    """k-means by colour histogram, then by place within each colour, of the patches that are not white.

    Attributes:
        n_clusters: of colours.
        percent: of the patches of each colour that are kept; a colour too rare for one patch keeps all of its own.
        white_above: grey over which a pixel is white, 0 to 255.
        max_white_fraction: a patch with a larger share of white pixels is dropped.
        n_init: runs of each k-means, of which the best counts.
        seed: of each k-means.
    """

    n_clusters: int
    percent: float
    white_above: int
    max_white_fraction: float
    n_init: int
    seed: int

    def __post_init__(self) -> None:
        check_settings("sish", self.n_clusters, self.percent, self.n_init)

    def select(self, slide: SlideFeatures) -> Int64[np.ndarray, " mosaic"]:
        """Rows of the kept patches, ascending.

        Raises:
            FeatureFileError: the slide's feature file holds no colours.
        """
        colours = needed_colours(slide)
        rows = np.flatnonzero(~self._is_white(colours))
        labels = kmeans(rgb_histogram(colours[rows]), self.n_clusters, self.n_init, self.seed).labels
        n_kept = partial(share_or_all, percent=self.percent)
        return np.asarray(rows[spread_patches(slide.coords[rows], labels, n_kept, self.n_init, self.seed)])

    def _is_white(self, colours: PatchColours) -> Bool[np.ndarray, " patch"]:
        is_white = bright_fraction(colours, self.white_above) > self.max_white_fraction
        return np.asarray(is_white & ~is_white.all())


def share_or_all(size: int, percent: float) -> int:
    """How many patches of a cluster SISH keeps: `percent` of them, rounded down, or all where that is none.

    >>> [share_or_all(size, 5.0) for size in (3, 19, 20, 45)]
    [3, 19, 1, 2]
    """
    return int(size * percent / 100) or size
