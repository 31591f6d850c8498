"""The patches of one slide are read, their colours counted, and encoded; what cannot be decoded is never encoded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, UInt16

from src.data.patch_colours import colours_of
from src.data.patching import Patches
from src.data.slide import PyramidSlide
from src.errors import CorruptTiles
from src.interfaces import Encoder, Image, PatchColours

T = TypeVar("T")

CorruptTilesPolicy = Literal["fail", "skip"]


class EncodedPatches(NamedTuple):
    """What the patches of a slide became.

    Attributes:
        rows: rows of `Patches.coords` that could be decoded.
        features: one row per decoded patch.
        colours: of the same patches.
    """

    rows: list[int]
    features: Float32[np.ndarray, "patch feature"]
    colours: PatchColours


def encode_patches(
    slide: PyramidSlide, patches: Patches, encoder: Encoder, corrupt_tiles: CorruptTilesPolicy = "fail"
) -> EncodedPatches:
    """Read and encode the patches of a slide; reading runs one batch ahead of encoding.

    Raises:
        CorruptTiles: a patch cannot be decoded (`fail`), or none can (`skip`).
    """
    rows: list[int] = []
    features = [np.empty((0, encoder.dim), np.float32)]
    colours = [np.empty((0, 4, 256), np.uint16)]
    for batch in _one_ahead(_batches(slide, patches, encoder.batch_size, corrupt_tiles)):
        rows += batch.rows
        if batch.images:
            features.append(encoder.encode(batch.images))
            colours.append(np.stack(batch.colours))
    if len(patches.coords) and not rows:
        raise CorruptTiles(f"{slide.slide_id}: none of its {len(patches.coords)} patches can be decoded")
    return EncodedPatches(rows, np.concatenate(features), np.concatenate(colours))


class _Batch(NamedTuple):
    rows: list[int]
    images: list[Image]
    colours: list[UInt16[np.ndarray, "4 256"]]


def _batches(
    slide: PyramidSlide, patches: Patches, batch_size: int, corrupt_tiles: CorruptTilesPolicy
) -> Iterator[_Batch]:
    for start in range(0, len(patches.coords), batch_size):
        batch = _Batch([], [], [])
        for row in range(start, min(start + batch_size, len(patches.coords))):
            image = _read(slide, patches, row, corrupt_tiles)
            if image is not None:
                batch.rows.append(row)
                batch.images.append(image)
                batch.colours.append(colours_of(image, patches.mpp))
        yield batch


def _read(slide: PyramidSlide, patches: Patches, row: int, corrupt_tiles: CorruptTilesPolicy) -> Image | None:
    x, y = patches.coords[row]
    try:
        return slide.read(int(x), int(y), patches.size_px, patches.mpp)
    except CorruptTiles:
        if corrupt_tiles == "fail":
            raise
        return None


def _one_ahead(batches: Iterator[T]) -> Iterator[T]:
    """Yield from `batches` while a thread reads the next one, so that reading and encoding overlap."""
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = pool.submit(next, batches, None)
            yield batch
