"""Where a slide's pixels come from: the levels of a file, read in each level's own pixels."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

MAX_SIDE_PX = 2**19
"""The largest slides in use are about 250,000 px a side; more is a damaged or hostile header."""

Rgba = UInt8[np.ndarray, "height width 4"]


@runtime_checkable
class Pixels(Protocol):
    """An open image file.

    Attributes:
        level_sizes: width and height of each level, level 0 (the finest) first.
        level_downsamples: how many level-0 pixels one pixel of each level spans; 1.0 first.
        stated_mpp: microns per pixel of level 0 by the file: NaN where it states no number, None where nothing.
        is_pyramid: True for the formats of whole-slide scanners, False for a plain image.
    """

    level_sizes: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]
    stated_mpp: float | None
    is_pyramid: bool

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Rgba:
        """A block whose top-left is (x, y) in pixels of `level`; alpha is 0 where the file has no pixels.

        Raises:
            OSError: the block cannot be decoded; later reads of other blocks still work.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def refuse_absurd_size(width_px: int, height_px: int, max_side_px: int = MAX_SIDE_PX) -> None:
    """Raise ValueError for an image that is empty, or so large that its header must be wrong."""
    if not 1 <= min(width_px, height_px) <= max(width_px, height_px) <= max_side_px:
        raise ValueError(f"it states {width_px} x {height_px} px, at most {max_side_px} px a side are read")
