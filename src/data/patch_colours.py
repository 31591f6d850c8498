"""Which colours a patch has: histograms of red, green, blue and grey at 5x, counted while the patch is read.

One stored form serves every mosaic by colour. Yottixel (KimiaLabMayo/yottixel, `helper_functions.get_patches`)
clusters the mean RGB of the 5x image; SISH (mahmoodlab/SISH, `extract_mosaic.py`) its 768-bin RGB histogram, and drops
patches by their grey. Both read 512 um as 250 or 256 pixels; a patch of 128 um has 64.
Differs from SISH: grey is taken from the small image, not made small after it.
"""

from __future__ import annotations

import cv2
import numpy as np
import PIL.Image
from jaxtyping import Float32, Float64, UInt16

from src.interfaces import Image, PatchColours

_MPP_5X = 2.0
_MAX_SIDE_PX = 256  # SISH's; larger patches are made as small
_LARGEST_COUNT = np.iinfo(np.uint16).max  # 256 x 256 px of one colour are one more


def colours_of(patch: Image, mpp: float) -> UInt16[np.ndarray, "4 256"]:
    """The histograms of one patch, pixels per value.

    Args:
        patch: as it was read for the encoder.
        mpp: microns per pixel of it; a patch coarser than 5x is taken as it is.
    """
    height, width = patch.shape[:2]
    scale = min(1.0, mpp / _MPP_5X)
    size = tuple(min(_MAX_SIDE_PX, max(1, round(side * scale))) for side in (width, height))
    return histograms_of(cv2.resize(patch, size, interpolation=cv2.INTER_AREA))


def histograms_of(image: Image) -> UInt16[np.ndarray, "4 256"]:
    """Pixels per value of red, green, blue and grey; a count that 16 bits cannot hold is 65,535."""
    picture = PIL.Image.fromarray(image)
    counts: np.ndarray = np.array(picture.histogram() + picture.convert("L").histogram()).reshape(4, 256)
    return np.asarray(np.minimum(counts, _LARGEST_COUNT), np.uint16)


def mean_rgb(colours: PatchColours) -> Float64[np.ndarray, "patch 3"]:
    """Mean red, green and blue of each patch, 0 to 1.

    >>> mean_rgb(histograms_of(np.full((2, 2, 3), (255, 0, 51), np.uint8))[None]).tolist()
    [[1.0, 0.0, 0.2]]
    """
    counts = colours[:, :3].astype(np.float64)
    return np.asarray(counts @ np.arange(256) / counts.sum(axis=2) / 255)


def rgb_histogram(colours: PatchColours) -> Float32[np.ndarray, "patch 768"]:
    """SISH's raw counts: 256 bins of red, then of green, then of blue."""
    return colours[:, :3].reshape(len(colours), -1).astype(np.float32)


def bright_fraction(colours: PatchColours, above: int) -> Float64[np.ndarray, " patch"]:
    """Share of each patch's pixels whose grey is over `above`, 0 to 1.

    >>> bright_fraction(histograms_of(np.full((2, 2, 3), 236, np.uint8))[None], above=235).tolist()
    [1.0]
    """
    grey = colours[:, 3].astype(np.float64)
    return np.asarray(grey[:, above + 1 :].sum(axis=1) / grey.sum(axis=1))
