"""The patches of a query and how much each counts: a tint and a number per patch.

Source: HERE's web portal, which draws the grid and the attention of every patch on the query.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from jaxtyping import Float, Int

from src.eval.report.pictures import grid_picture
from src.interfaces import Image

_STRONGEST = 0.5
_SMALLEST_WRITTEN_PX = 56
_RED, _BLUE = (213, 40, 0), (0, 80, 200)
_WHITE, _BLACK = (255, 255, 255), (16, 16, 16)


def attention_picture(
    image: Image,
    boxes: Int[np.ndarray, "patch 4"],
    attention: Float[np.ndarray, " patch"],
    n_patches: int,
    downsample: float = 1.0,
) -> Image:
    """A copy of the image with every patch outlined, tinted by its attention, and its share in percent.

    An equal share, 1 / n_patches, leaves a patch as it is; blue is less, down to none, and red more, up to twice that.

    Args:
        image: the query, `downsample` times smaller than level 0.
        boxes: x, y, width, height of its patches; level-0 pixels.
        attention: of each patch, 0 to 1; NaN where a patch was not searched with.
        n_patches: of the whole query, over which attention sums to 1.
        downsample: level-0 pixels per pixel of the image.
    """
    picture = image.copy()
    seen = np.rint(boxes / downsample).astype(np.int64)
    for box, share in zip(seen.tolist(), attention.tolist(), strict=True):
        if not np.isnan(share):
            _tint(picture, box, share * n_patches - 1)
    return _written(grid_picture(picture, boxes, downsample), seen, attention)


def _tint(picture: Image, box: list[int], excess: float) -> None:
    """Colour a patch by how far it is from an equal share: -1 for none of it, 1 for twice of it."""
    x, y, width, height = box
    view = picture[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    alpha = _STRONGEST * min(1.0, abs(excess))
    view[:] = np.rint((1 - alpha) * view + alpha * np.array(_RED if excess > 0 else _BLUE))


def _written(picture: Image, boxes: Int[np.ndarray, "patch 4"], attention: Float[np.ndarray, " patch"]) -> Image:
    image = PIL.Image.fromarray(picture)
    draw = PIL.ImageDraw.Draw(image)
    for (x, y, width, height), share in zip(boxes.tolist(), attention.tolist(), strict=True):
        if not np.isnan(share) and min(width, height) >= _SMALLEST_WRITTEN_PX:
            font = PIL.ImageFont.load_default(min(28, width // 4))
            place = (x + width / 2, y + height / 2)
            draw.text(place, f"{100 * share:.3g}", _WHITE, font, "mm", stroke_width=2, stroke_fill=_BLACK)
    return np.asarray(image)
