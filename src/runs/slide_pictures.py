"""Slides of a cohort, opened for their pictures; one that does not open is None, which pictures show as a grey tile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from src.data.cohort import Cohort
from src.data.slide import PyramidSlide, open_slide
from src.errors import SlideError
from src.eval.report.pictures import place_picture
from src.interfaces import Image

_THUMBNAIL_PX = 180
_NO_BOXES = np.zeros((0, 4), np.int64)


class SlidePictures:
    """Thumbnails by slide_id, each made once.

    Args:
        cohort: None where the cohort is not at hand.
    """

    def __init__(self, cohort: Cohort | None) -> None:
        self._records = {} if cohort is None else {record.slide_id: record for record in cohort.records()}
        self._default_mpp = None if cohort is None else cohort.default_mpp
        self._thumbnails: dict[str, Image] = {}

    @contextmanager
    def opened(self, slide_id: str) -> Iterator[PyramidSlide | None]:
        """The slide, or None when it does not open."""
        slide = self._open(slide_id)
        try:
            yield slide
        finally:
            if slide is not None:
                slide.close()

    def thumbnail(self, slide_id: str) -> Image:
        """The whole slide, small."""
        if slide_id not in self._thumbnails:
            with self.opened(slide_id) as slide:
                self._thumbnails[slide_id] = place_picture(slide, _NO_BOXES, _THUMBNAIL_PX)
        return self._thumbnails[slide_id]

    def _open(self, slide_id: str) -> PyramidSlide | None:
        record = self._records.get(slide_id)
        if record is None:
            return None
        try:
            return open_slide(Path(record.path), slide_id, record.mpp, self._default_mpp)
        except SlideError:
            return None
