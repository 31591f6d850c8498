"""A picture of a mosaic: where on the slide the patches lie that stand for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int64

from src.data.preview import boxes_on_overview, overview_of, paled, write_png
from src.interfaces import Image, Slide

Coords = Int64[np.ndarray, "_ 2"]
MOSAICS_FOLDER = "mosaics"
"""Where the pictures of a run lie, in its folder."""

_KEPT, _OTHER = (0, 135, 90), (176, 176, 176)


def write_mosaic_preview(path: Path, slide: Slide, coords: Coords, kept: Coords, size_level0: tuple[int, int]) -> None:
    """Write `mosaic_picture` of a slide as a PNG.

    Raises:
        UnreadableSlide: the overview cannot be decoded.
    """
    write_png(path, mosaic_picture(overview_of(slide), (slide.width_px, slide.height_px), coords, kept, size_level0))


def mosaic_picture(
    overview: Image, slide_wh: tuple[int, int], coords: Coords, kept: Coords, size_level0: tuple[int, int]
) -> Image:
    """The overview paled, in which the patches of the mosaic have their colours and a green frame.

    Args:
        overview: the whole slide, small.
        slide_wh: width and height of the slide at level 0.
        coords: top-left corners of all patches, level-0 pixels; they are outlined in grey.
        kept: those of the mosaic.
        size_level0: width and height of a patch, level-0 pixels.
    """
    scale = overview.shape[1] / slide_wh[0], overview.shape[0] / slide_wh[1]
    picture = paled(overview)
    for left, top, right, bottom in boxes_on_overview(coords, size_level0, scale):
        cv2.rectangle(picture, (left, top), (right, bottom), _OTHER, 1)
    boxes = boxes_on_overview(kept, size_level0, scale)
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = overview[top:bottom, left:right]
    for left, top, right, bottom in boxes:
        cv2.rectangle(picture, (left, top), (right, bottom), _KEPT, 1 + max(overview.shape) // 600)
    return picture
