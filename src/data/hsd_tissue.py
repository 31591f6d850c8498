"""Where the tissue of a slide is, as Yottixel finds it: pixels with colour, around which the stain is pink to purple.

Source: KimiaLabMayo/yottixel (commit 7ef1239), `helper_functions.clean_thumbnail`: hue-saturation-density (HSD) of van
der Laak et al., 2000, of which the second chromatic axis is averaged (the official comments call it density).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from src.data.tissue import Tissue, outlines
from src.errors import ConfigError
from src.interfaces import Image, Slide

_WHITE = 255
_EPS = np.finfo(np.float32).eps


@dataclass(frozen=True)
class HsdSegmenter:
    """Finds tissue by its colour on a small picture of the slide.

    Attributes:
        overview_px: longer side of that picture.
        min_std: standard deviation of red, green and blue, 0 to 255, below which a pixel is white or grey.
        blur_px: side of the square over which the chromatic axis is averaged.
        threshold: of that average, below which a pixel is background.
    """

    overview_px: int = 500
    min_std: float = 5.0
    blur_px: int = 30
    threshold: float = 0.05

    def __post_init__(self) -> None:
        if min(self.overview_px, self.blur_px) < 1:
            raise ConfigError(
                f"tissue overview_px is {self.overview_px} and blur_px {self.blur_px}, expected at least 1"
            )

    def segment(self, slide: Slide) -> Tissue:
        """Find the tissue of a slide; without any, `contours` is empty.

        Raises:
            UnreadableSlide: the overview cannot be decoded.
        """
        overview = slide.overview(max(1.0, max(slide.width_px, slide.height_px) / self.overview_px))
        found = Tissue((), self.mask_of(overview), overview, (slide.width_px, slide.height_px))
        return Tissue(outlines(found.mask, found.scale_xy), found.mask, overview, found.slide_wh)

    def mask_of(self, overview: Image) -> Bool[np.ndarray, "height width"]:
        """True where there is tissue."""
        is_grey = overview.std(axis=2) < self.min_std
        coloured = np.where(is_grey[..., None], np.uint8(_WHITE), overview)
        near = cv2.blur(_second_chromatic_axis(coloured), (self.blur_px, self.blur_px))
        is_white = (coloured == _WHITE).all(axis=2)
        return np.asarray((near >= self.threshold) & ~is_white)


def _second_chromatic_axis(image: Image) -> Float32[np.ndarray, "height width"]:
    """Green's optical density less blue's, as a share of the mean density; 0 for white."""
    transmitted = np.maximum(image.astype(np.float32) / _WHITE, _EPS)
    _, green, blue = np.moveaxis(-np.log(transmitted), 2, 0)
    density = np.maximum(-np.log(transmitted).mean(axis=2), _EPS)
    return np.asarray((green - blue) / (np.float32(np.sqrt(3)) * density))
