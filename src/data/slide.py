"""One slide: pyramid or plain region, read at any resolution in level-0 coordinates."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from src.data.image_pixels import open_image_pixels
from src.data.mpp import resolve_mpp
from src.data.openslide_pixels import OpenSlidePixels, is_whole_slide_format
from src.data.pixels import Pixels, Rgba
from src.errors import CorruptTiles, UnreadableSlide
from src.interfaces import Image, MppSource

Colour = tuple[int, int, int]
_BLOCK_PX = 2048  # side of the largest block decoded at once: 16 MiB
_LEVEL_TOLERANCE = 0.01  # level sizes are whole numbers, so their downsamples are a little off 2, 4, 8, ...


def open_slide(
    path: Path,
    slide_id: str,
    mpp: float | None = None,
    default_mpp: float | None = None,
    background: Colour = (255, 255, 255),
) -> PyramidSlide:
    """Open a whole-slide file or a plain image.

    Args:
        path: any format that OpenSlide reads, or a PNG, JPEG or TIFF.
        slide_id: names the slide in errors and file names.
        mpp: microns per pixel of level 0 by the cohort table; it wins over the file's.
        default_mpp: microns per pixel for a slide of which neither states it.
        background: colour outside the slide and of its transparent pixels.

    Raises:
        UnreadableSlide: the file is missing, empty, of no known format, damaged or absurdly large.
        MppMissing: microns per pixel are unknown or implausible.
    """
    pixels = _open_pixels(path, slide_id)
    try:
        slide_mpp, source = resolve_mpp(slide_id, mpp, pixels.stated_mpp, default_mpp)
    except BaseException:
        pixels.close()
        raise
    return PyramidSlide(slide_id, pixels, slide_mpp, source, background)


class PyramidSlide:
    """A `Slide` made of the levels of one file; a plain image is a pyramid of one level."""

    def __init__(
        self, slide_id: str, pixels: Pixels, mpp: float, mpp_source: MppSource, background: Colour = (255, 255, 255)
    ) -> None:
        """Join a slide's pixels with their scale; `open_slide` finds both."""
        self.slide_id = slide_id
        self.mpp = mpp
        self.mpp_source = mpp_source
        self.background = background
        self.width_px, self.height_px = pixels.level_sizes[0]
        self.level_downsamples = pixels.level_downsamples
        self.is_pyramid = pixels.is_pyramid
        self._pixels = pixels

    def read(self, x: int, y: int, size_px: int | tuple[int, int], mpp: float) -> Image:
        """The patch whose top-left is (x, y) at level 0; it may lie partly or wholly outside the slide.

        Pixels come from the nearest level that is at least as fine, averaged over area; a slide coarser than asked is
        upsampled (cubic). The corner and the extent are rounded to whole pixels of that level.

        Args:
            x: left edge, level-0 pixels; may be negative.
            y: top edge.
            size_px: side, or width and height, of the patch returned.
            mpp: microns per pixel of the patch returned.

        Raises:
            CorruptTiles: a part of the patch cannot be decoded. Other patches can still be read.
        """
        width, height = (size_px, size_px) if isinstance(size_px, int) else size_px
        scale = mpp / self.mpp
        try:
            return self._resampled((x, y), (width * scale, height * scale), (width, height))
        except OSError as error:
            raise CorruptTiles(
                f"{self.slide_id}: the patch at x={x}, y={y} cannot be decoded ({_one_line(error)}); "
                "restore the file, or leave such patches out with corrupt_tiles=skip"
            ) from error

    def overview(self, downsample: float) -> Image:
        """The whole slide, about `downsample` times smaller than level 0 (each side is rounded), block by block.

        Raises:
            UnreadableSlide: a part of the slide cannot be decoded.
        """
        size = (max(1, round(self.width_px / downsample)), max(1, round(self.height_px / downsample)))
        try:
            return self._resampled((0, 0), (float(self.width_px), float(self.height_px)), size)
        except OSError as error:
            raise UnreadableSlide(
                f"{self.slide_id}: the overview cannot be decoded ({_one_line(error)}); restore the file"
            ) from error

    def close(self) -> None:
        """Release the file."""
        self._pixels.close()

    def _resampled(self, corner: tuple[int, int], extent: tuple[float, float], size: tuple[int, int]) -> Image:
        """`extent` level-0 pixels from `corner` on, as `size` pixels; (x, y) and (width, height) throughout."""
        level = self._level_for(min(extent[0] / size[0], extent[1] / size[1]))
        columns = self._blocks(corner[0], extent[0], size[0], level)
        rows = self._blocks(corner[1], extent[1], size[1], level)
        image = np.empty((size[1], size[0], 3), np.uint8)
        for top, bottom, y, y_end in rows:
            for left, right, x, x_end in columns:
                block = self._pixels.read(level, left, top, right - left, bottom - top)
                image[y:y_end, x:x_end] = _resize(_flatten(block, self.background), (x_end - x, y_end - y))
        return image

    def _level_for(self, downsample: float) -> int:
        fine_enough = [
            level for level, own in enumerate(self.level_downsamples) if own <= downsample * (1 + _LEVEL_TOLERANCE)
        ]
        return max(fine_enough, key=lambda level: self.level_downsamples[level], default=0)

    def _blocks(self, start: int, extent: float, size: int, level: int) -> list[tuple[int, int, int, int]]:
        """Cuts one axis into blocks: their start and end in pixels of `level`, then in pixels of the output."""
        scale = extent / size / self.level_downsamples[level]
        origin = round(start / self.level_downsamples[level])
        cuts = [*range(0, size, max(1, int(_BLOCK_PX / scale))), size]
        edges = [origin + round(cut * scale) for cut in cuts]
        return [
            (a, max(b, a + 1), cut, end) for (a, b), (cut, end) in zip(pairwise(edges), pairwise(cuts), strict=True)
        ]


def _open_pixels(path: Path, slide_id: str) -> Pixels:
    if not path.is_file():
        raise UnreadableSlide(f"{slide_id}: there is no file {path}; correct the cohort table's column path")
    if not path.stat().st_size:
        raise UnreadableSlide(f"{slide_id}: {path} is empty; copy the file again")
    try:
        return OpenSlidePixels(path) if is_whole_slide_format(path) else open_image_pixels(path)
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them stumble over
        raise UnreadableSlide(
            f"{slide_id}: {path} cannot be opened as a slide or image ({_one_line(error)})"
        ) from error


def _flatten(block: Rgba, background: Colour) -> Image:
    alpha = block[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(block[..., :3])
    opacity = alpha / np.float32(255)
    return np.rint(block[..., :3] * opacity + np.array(background, np.float32) * (1 - opacity)).astype(np.uint8)


def _resize(image: Image, size: tuple[int, int]) -> UInt8[np.ndarray, "new_height new_width 3"]:
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    is_smaller = size[0] <= width and size[1] <= height
    resized: np.ndarray = cv2.resize(image, size, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)
    return resized


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
