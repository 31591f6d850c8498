"""The pictures of a report, made from a slide; one that cannot be read gives a grey tile, never an error.

All coordinates are level-0 pixels. Marks are drawn light on a dark rim, to be seen on tissue and on glass alike.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from jaxtyping import Int

from src.eval.report.heatmap import PatchScores, heat_map
from src.interfaces import Image, Slide

_log = logging.getLogger(__name__)

_WHITE = (255, 255, 255)
_YELLOW = (255, 212, 0)
_BLACK = (16, 16, 16)
_SMALLEST_MARK = 0.06
"""A box whose longer side is a smaller part of the picture's gets a ring."""


class Box(NamedTuple):
    """A rectangle: top-left corner and size."""

    x: int
    y: int
    width: int
    height: int


def patch_picture(slide: Slide | None, x: int, y: int, size_level0: int | tuple[int, int], px: int = 160) -> Image:
    """The patch at (x, y), its longer side `px` pixels.

    Args:
        slide: None stands for a slide whose file does not open.
        x: left of the patch, level-0 pixels.
        y: top of the patch, level-0 pixels.
        size_level0: side, or width and height, level-0 pixels.
        px: longer side of the picture, pixels.
    """
    try:
        return _read(_opened(slide), Box(x, y, *_pair(size_level0)), px)
    # Whatever a broken file raises, a report of other slides has to be written.
    except Exception as error:
        return _unreadable(slide, error, px)


def context_picture(
    slide: Slide | None, x: int, y: int, size_level0: int | tuple[int, int], px: int = 320, field: int = 5
) -> Image:
    """The surroundings of the patch at (x, y), outlined in white; `field` patches wide where the slide is as large.

    Args:
        slide: None stands for a slide whose file does not open.
        x: left of the patch, level-0 pixels.
        y: top of the patch, level-0 pixels.
        size_level0: side, or width and height, level-0 pixels.
        px: longer side of the picture, pixels.
        field: side of the square field, in longer sides of the patch.
    """
    try:
        patch = Box(x, y, *_pair(size_level0))
        view = _field_around(_opened(slide), patch, field)
        picture = _read(_opened(slide), view, px)
        _outline(picture, _seen(patch, view, picture), _WHITE)
        return picture
    except Exception as error:
        return _unreadable(slide, error, px)


def place_picture(
    slide: Slide | None, boxes: Int[np.ndarray, "box 4"], px: int = 320, heat: PatchScores | None = None
) -> Image:
    """The whole slide with each box marked; a box too small to be seen gets a ring and a crosshair.

    Args:
        slide: None stands for a slide whose file does not open.
        boxes: x, y, width, height; level-0 pixels.
        px: longer side of the picture, pixels.
        heat: patches that are coloured by their score, under the marks.
    """
    try:
        whole = Box(0, 0, _opened(slide).width_px, _opened(slide).height_px)
        overview = _opened(slide).overview(max(1.0, max(whole.width, whole.height) / px))
        if heat is not None:
            overview = heat_map(overview, heat, whole.width / overview.shape[1])
        picture = _fitted(overview, px)
        for box in boxes.tolist():
            _mark(picture, _seen(Box(*box), whole, picture))
        return picture
    except Exception as error:
        return _unreadable(slide, error, px)


def grid_picture(image: Image, boxes: Int[np.ndarray, "box 4"], downsample: float = 1.0) -> Image:
    """A copy of the image with every patch outlined.

    Args:
        image: the slide, `downsample` times smaller than level 0.
        boxes: x, y, width, height of the patches; level-0 pixels.
        downsample: level-0 pixels per pixel of the image.
    """
    picture = np.ascontiguousarray(image).copy()
    lines = picture.copy()
    for box in boxes.tolist():
        x, y, width, height = (round(side / downsample) for side in box)
        cv2.rectangle(lines, (x, y), (x + width, y + height), _BLACK, 1)
    return np.asarray(cv2.addWeighted(lines, 0.55, picture, 0.45, 0))


def unreadable_picture(px: int = 160) -> Image:
    """A grey square that says "not readable"."""
    image = PIL.Image.new("RGB", (px, px), (206, 209, 214))
    font = PIL.ImageFont.load_default(max(8, px // 9))
    PIL.ImageDraw.Draw(image).text((px / 2, px / 2), "not readable", (84, 90, 100), font, "mm")
    return np.asarray(image)


def _opened(slide: Slide | None) -> Slide:
    if slide is None:
        raise FileNotFoundError("the file does not open")
    return slide


def _unreadable(slide: Slide | None, error: Exception, px: int) -> Image:
    _log.warning("%s: no picture for the report, %s", slide.slide_id if slide else "a slide", error)
    return unreadable_picture(px)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _read(slide: Slide, box: Box, px: int) -> Image:
    # Never finer than level 0: a small patch is read as it is and enlarged.
    shrink = max(1.0, max(box.width, box.height) / px)
    size_px = max(1, round(box.width / shrink)), max(1, round(box.height / shrink))
    return _fitted(slide.read(box.x, box.y, size_px, slide.mpp * shrink), px)


def _fitted(picture: Image, px: int) -> Image:
    height, width = picture.shape[:2]
    scale = px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


def _field_around(slide: Slide, patch: Box, field: int) -> Box:
    side = field * max(patch.width, patch.height)
    width, height = min(side, slide.width_px), min(side, slide.height_px)
    x = np.clip(patch.x + (patch.width - width) // 2, 0, slide.width_px - width)
    y = np.clip(patch.y + (patch.height - height) // 2, 0, slide.height_px - height)
    return Box(int(x), int(y), width, height)


def _seen(box: Box, view: Box, picture: Image) -> Box:
    """Where a box lies on a picture of the view; pixels of the picture."""
    scale_x, scale_y = picture.shape[1] / view.width, picture.shape[0] / view.height
    return Box(
        round((box.x - view.x) * scale_x),
        round((box.y - view.y) * scale_y),
        round(box.width * scale_x),
        round(box.height * scale_y),
    )


def _outline(picture: Image, box: Box, colour: tuple[int, int, int]) -> None:
    line = _line_px(picture)
    # Kept inside the picture, so that a patch as large as its slide shows its outline.
    height, width = picture.shape[:2]
    corner = max(line, box.x), max(line, box.y)
    opposite = min(width - 1 - line, box.x + box.width), min(height - 1 - line, box.y + box.height)
    cv2.rectangle(picture, corner, opposite, _BLACK, line + 3, cv2.LINE_AA)
    cv2.rectangle(picture, corner, opposite, colour, line, cv2.LINE_AA)


def _mark(picture: Image, box: Box) -> None:
    if max(box.width, box.height) >= _SMALLEST_MARK * max(picture.shape[:2]):
        _outline(picture, box, _YELLOW)
    else:
        _ring(picture, box.x + box.width // 2, box.y + box.height // 2)


def _ring(picture: Image, x: int, y: int) -> None:
    line, radius = _line_px(picture), max(picture.shape[:2]) // 24
    for colour, thickness in ((_BLACK, line + 3), (_YELLOW, line)):
        cv2.circle(picture, (x, y), radius, colour, thickness, cv2.LINE_AA)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            near, far = (x + radius * dx, y + radius * dy), (x + 2 * radius * dx, y + 2 * radius * dy)
            cv2.line(picture, near, far, colour, thickness, cv2.LINE_AA)


def _line_px(picture: Image) -> int:
    height, width, _ = picture.shape
    return max(2, int(max(height, width)) // 100)
