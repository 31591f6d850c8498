"""Tiny slides for tests: tiled pyramidal TIFFs that OpenSlide reads, and pictures that look like tissue on glass."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tifffile

from src.interfaces import Image

Compression = Literal["adobe_deflate", "jpeg"]

Blob = tuple[int, int, int, int]
"""Centre x and y, half width and half height of an ellipse."""


def noise(width: int, height: int, seed: int = 0) -> Image:
    """Pixels that no two patches share."""
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def glass(width: int, height: int, tissue: list[Blob], holes: list[Blob] | None = None) -> Image:
    """White glass with purple ellipses of tissue, in which white ellipses are holes."""
    image = np.full((height, width, 3), 245, np.uint8)
    for blobs, colour in ((tissue, (170, 90, 160)), (holes or [], (245, 245, 245))):
        for x, y, half_width, half_height in blobs:
            cv2.ellipse(image, (x, y), (half_width, half_height), 0, 0, 360, colour, -1)
    return image


def write_pyramid(
    path: Path,
    image: Image,
    mpp: float | None = 0.5,
    n_levels: int = 1,
    tile: int = 64,
    compression: Compression = "adobe_deflate",
) -> Path:
    """A tiled TIFF, each level half as large as the one before; `mpp` goes into the resolution tags."""
    pixels_per_cm = 1e4 / mpp if mpp is not None else None
    with tifffile.TiffWriter(path) as file:
        for level in range(n_levels):
            size = (image.shape[1] >> level, image.shape[0] >> level)
            page = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if level else image
            file.write(
                page,
                tile=(tile, tile),
                photometric="rgb",
                compression=compression,
                metadata=None,
                subfiletype=int(level > 0),
                resolution=(pixels_per_cm, pixels_per_cm) if pixels_per_cm is not None else None,
                resolutionunit="CENTIMETER" if pixels_per_cm is not None else None,
            )
    return path


def corrupt_tile(path: Path, index: int) -> None:
    """Overwrite the bytes of one tile of level 0."""
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[index], file.pages[0].databytecounts[index]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * count)


def claim_size(path: Path, width: int, height: int) -> None:
    """Change the dimensions that the header states, and nothing else."""
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags
        tags["ImageWidth"].overwrite(width, dtype="I")
        tags["ImageLength"].overwrite(height, dtype="I")
