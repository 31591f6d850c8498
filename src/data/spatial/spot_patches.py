"""The patch of each spot, as HERE cuts it.

Source: HERE (bioRxiv 10.1101/2025.10.25.684566; data2intelligence/HERE_training, `generate_data_for_hereapp.py`).
"""

from __future__ import annotations

import math

import numpy as np

from src.data.patching import Patches
from src.data.spatial.section import Section
from src.errors import ConfigError
from src.interfaces import Slide

_SMALLEST_SIDE_UM = 64.0


def patch_size_level0_px(mpp: float) -> int:
    """Side of a spot's patch: the power of two of level-0 pixels that is at least 64 um.

    >>> patch_size_level0_px(0.5), patch_size_level0_px(0.51), patch_size_level0_px(0.25)
    (128, 128, 256)
    """
    if not (math.isfinite(mpp) and mpp > 0):
        raise ConfigError(f"mpp is {mpp}; expected microns per pixel above 0")
    return int(2 ** math.ceil(math.log2(_SMALLEST_SIDE_UM / mpp)))


def spot_patches(section: Section, slide: Slide) -> Patches:
    """One patch per spot, centred on it, at the slide's own resolution; it may stick out of the slide."""
    side = patch_size_level0_px(slide.mpp)
    corners = np.rint(section.centres).astype(np.int64) - side // 2
    return Patches(corners, (side, side), (side, side), slide.mpp)
