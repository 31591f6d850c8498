"""Whole-slide formats, DICOM included, through OpenSlide (openslide.org/formats)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide

from src.data.pixels import Rgba, refuse_absurd_size

_MAX_TILE_SIDE_PX = 2**14


class OpenSlidePixels:
    """A file that OpenSlide reads; see `Pixels`."""

    is_pyramid: bool = True

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: OpenSlide cannot open it.
            ValueError: its dimensions are absurd.
        """
        self._path = path
        self._handle = _open(path)
        self.level_sizes: tuple[tuple[int, int], ...] = self._handle.level_dimensions
        self.level_downsamples: tuple[float, ...] = self._handle.level_downsamples
        self.stated_mpp = _stated_mpp(self._handle)
        refuse_absurd_size(*self.level_sizes[0])
        refuse_absurd_size(*_tile_size(self._handle), _MAX_TILE_SIDE_PX)

    def read(self, level: int, x: int, y: int, width: int, height: int) -> Rgba:
        """A block in pixels of `level`; see `Pixels`."""
        downsample = self.level_downsamples[level]
        location = (round(x * downsample), round(y * downsample))
        try:
            return np.asarray(self._handle.read_region(location, level, (width, height)))
        except openslide.OpenSlideError as error:
            # A handle that failed once answers every later call with the same error. It is not closed here, as another
            # thread may be reading from it: it closes when it is collected.
            self._handle = _open(self._path)
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Release the file."""
        self._handle.close()


def is_whole_slide_format(path: Path) -> bool:
    """True when OpenSlide recognises the format, whether or not it can open this file."""
    try:
        return openslide.OpenSlide.detect_format(path) is not None
    except openslide.OpenSlideError:
        return True


def _open(path: Path) -> openslide.OpenSlide:
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideError as error:
        raise OSError(str(error)) from error


def _stated_mpp(handle: openslide.OpenSlide) -> float | None:
    keys = (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)
    stated = [_number(handle.properties[key]) for key in keys if key in handle.properties]
    return sum(stated) / len(stated) if stated else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _tile_size(handle: openslide.OpenSlide) -> tuple[int, int]:
    """Size of the tiles of level 0; (1, 1) where the format has none."""
    properties = handle.properties
    return (
        int(properties.get("openslide.level[0].tile-width", 1)),
        int(properties.get("openslide.level[0].tile-height", 1)),
    )
