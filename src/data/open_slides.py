"""Slides that stay open while patches are read from them in random order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from src.data.cohort import SlideRecord
from src.data.slide import PyramidSlide

_BYTES_OF_PYRAMID = 4 << 20  # a few decoded tiles
_BYTES_OF_PIXEL = 4


class OpenSlides:
    """Opens a slide once and keeps it; closes those that were not asked for the longest when memory is used up.

    Args:
        open_: opens the slide of a record.
        max_bytes: of plain images, which lie in memory whole, and of pyramids, a few MiB each; one slide may be larger.
    """

    def __init__(self, open_: Callable[[SlideRecord], PyramidSlide], max_bytes: int = 512 << 20) -> None:
        self._open = open_
        self._max_bytes = max_bytes
        self._slides: OrderedDict[str, PyramidSlide] = OrderedDict()

    def __getitem__(self, record: SlideRecord) -> PyramidSlide:
        if record.slide_id not in self._slides:
            self._slides[record.slide_id] = self._open(record)
        self._slides.move_to_end(record.slide_id)
        while len(self._slides) > 1 and sum(map(_size_bytes, self._slides.values())) > self._max_bytes:
            self._slides.popitem(last=False)[1].close()
        return self._slides[record.slide_id]

    def __len__(self) -> int:
        return len(self._slides)


def _size_bytes(slide: PyramidSlide) -> int:
    return _BYTES_OF_PYRAMID if slide.is_pyramid else _BYTES_OF_PIXEL * slide.width_px * slide.height_px
