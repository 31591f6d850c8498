"""Plain images (PNG, JPEG, TIFF, ...): regions cut from a slide, held in memory."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import PIL.Image

from src.data.pixels import Rgba, refuse_absurd_size

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000")
_MAX_PX = 2**27  # 134 million; 0.5 GB once decoded


class ImagePixels:
    """One decoded image; see `Pixels`. Its DPI tag is about printing, so it states no mpp."""

    is_pyramid: bool = False
    stated_mpp: float | None = None
    level_downsamples: tuple[float, ...] = (1.0,)

    def __init__(self, image: PIL.Image.Image) -> None:
        """Take a decoded image, RGB or RGBA."""
        self._image = image
        self.level_sizes: tuple[tuple[int, int], ...] = (self._image.size,)

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Rgba:
        """A block; `level` is 0, the only one. See `Pixels`."""
        block = np.zeros((height, width, 4), np.uint8)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, self._image.width), min(y + height, self._image.height)
        if left < right and top < bottom:
            inside = self._image.crop((left, top, right, bottom)).convert("RGBA")
            block[top - y : bottom - y, left - x : right - x] = np.asarray(inside)
        return block

    def close(self) -> None:
        """Release the memory."""
        self._image.close()


def open_image_pixels(path: Path) -> ImagePixels:
    """Decode an image file.

    Raises:
        OSError: it cannot be identified or decoded.
        ValueError: it is too large to be held in memory, or not of 8 bits per channel.
    """
    return ImagePixels(_decode(path))


def _decode(path: Path) -> PIL.Image.Image:
    with warnings.catch_warnings():
        # Pillow warns of sizes below our own limit, and of damage that is an error here anyway.
        warnings.simplefilter("ignore")
        image: PIL.Image.Image = PIL.Image.open(path, formats=_FORMATS)
    _refuse_what_memory_cannot_hold(image)
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"its pixels are of mode {image.mode}, 8 bits per channel are expected")
    image.load()
    if image.mode in ("RGB", "RGBA"):
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _refuse_what_memory_cannot_hold(image: PIL.Image.Image) -> None:
    refuse_absurd_size(*image.size)
    if image.width * image.height > _MAX_PX:
        raise ValueError(
            f"a plain image of {image.width} x {image.height} px is too large to be held in memory; "
            "convert it to a tiled TIFF"
        )
