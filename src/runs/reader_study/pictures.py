"""The pictures of a study, each written once, under a number that tells neither slide nor method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image

from src.data.cohort import Cohort
from src.data.slide import PyramidSlide, open_slide
from src.errors import UnreadableSlide
from src.eval.report.pictures import context_picture
from src.interfaces import Image, Slide

PICTURES = "pictures"
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class View:
    """How a hit is shown: the same way for every method, because the size of its patches would betray it.

    Attributes:
        is_whole: regions are shown whole and unmarked. A method that takes a region for one patch would else be known
            by its patch, which is always in the middle.
        patch_px: side of the patch shown, about the centre of the method's own.
        mpp: microns per pixel of that patch.
        field: side of its surroundings, in patches; a region's surroundings are the region.
        context_px: longer side of the picture of the surroundings, and of a whole image.
    """

    is_whole: bool = False
    patch_px: int = 256
    mpp: float = 0.5
    field: int = 7
    context_px: int = 896


class StudyPictures:
    """Writes pictures into `folder/pictures`; paths are relative to `folder`."""

    def __init__(self, folder: Path, cohort: Cohort, view: View) -> None:
        self.view = view
        self._folder = folder
        self._cohort = cohort
        self._records = {record.slide_id: record for record in cohort.records()}
        self._files: dict[tuple[object, ...], tuple[str, ...]] = {}
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)

    def whole(self, slide_id: str) -> tuple[str, ...]:
        """A slide or region, small.

        Raises:
            SlideError: it cannot be read.
        """
        if (slide_id,) in self._files:
            return self._files[(slide_id,)]
        with self._opened(slide_id) as slide:
            return self._once((slide_id,), lambda: [_overview(slide, self.view.context_px)])

    def patch(self, slide_id: str, x: int, y: int, size_of: Callable[[Slide], tuple[int, int]]) -> tuple[str, ...]:
        """The patch and its surroundings with the patch outlined; the region alone where regions are shown whole.

        Args:
            slide_id: the slide.
            x: left of the method's patch, level-0 pixels.
            y: top of the method's patch, level-0 pixels.
            size_of: width and height of the method's patches, level-0 pixels.

        Raises:
            SlideError: it cannot be read.
        """
        if self.view.is_whole:
            return self.whole(slide_id)
        with self._opened(slide_id) as slide:
            corner = _shown_corner(slide, (x, y), size_of(slide), self._side_level0(slide))
            return self._once((slide_id, *corner), lambda: self._patch_and_context(slide, *corner))

    def _patch_and_context(self, slide: PyramidSlide, x: int, y: int) -> list[Image]:
        side, field = self._side_level0(slide), self.view.field
        if self._cohort.kind == "regions":
            field = math.ceil(max(slide.width_px, slide.height_px) / side)
        patch = slide.read(x, y, self.view.patch_px, self.view.mpp)
        return [patch, context_picture(slide, x, y, side, self.view.context_px, field)]

    def _side_level0(self, slide: Slide) -> int:
        return round(self.view.patch_px * self.view.mpp / slide.mpp)

    def _once(self, key: tuple[object, ...], draw: Callable[[], list[Image]]) -> tuple[str, ...]:
        if key not in self._files:
            n_written = sum(map(len, self._files.values()))
            self._files[key] = tuple(self._write(n_written + place, picture) for place, picture in enumerate(draw()))
        return self._files[key]

    def _write(self, number: int, picture: Image) -> str:
        name = f"{PICTURES}/{number:05d}.jpg"
        PIL.Image.fromarray(picture).save(self._folder / name, quality=_JPEG_QUALITY, subsampling=0)
        return name

    @contextmanager
    def _opened(self, slide_id: str) -> Iterator[PyramidSlide]:
        record = self._records.get(slide_id)
        if record is None:
            raise UnreadableSlide(f"{slide_id}: not in cohort {self._cohort.name}; give the cohort that was searched")
        slide = open_slide(record.path, slide_id, record.mpp, self._cohort.default_mpp)
        try:
            yield slide
        finally:
            slide.close()


def _overview(slide: PyramidSlide, px: int) -> Image:
    return slide.overview(max(1.0, max(slide.width_px, slide.height_px) / px))


def _shown_corner(slide: Slide, corner: tuple[int, int], size: tuple[int, int], side: int) -> tuple[int, int]:
    """Top-left of a square of `side` about the centre of a patch, inside the slide where it fits; level-0 pixels."""
    centred = [start + (length - side) // 2 for start, length in zip(corner, size, strict=True)]
    last = [max(0, slide.width_px - side), max(0, slide.height_px - side)]
    x, y = np.clip(centred, 0, last).tolist()
    return x, y
