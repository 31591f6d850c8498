"""Slides that stay open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from src.data.cohort import SlideRecord
from src.data.open_slides import OpenSlides
from src.data.slide import PyramidSlide, open_slide

SIDE_PX = 16


@pytest.fixture
def records(tmp_path: Path) -> list[SlideRecord]:
    """Pictures of 16 x 16 px."""
    for i in range(3):
        PIL.Image.fromarray(np.full((SIDE_PX, SIDE_PX, 3), i, np.uint8)).save(tmp_path / f"s{i}.png")
    return [SlideRecord(f"s{i}", tmp_path / f"s{i}.png", "p", 0.5) for i in range(3)]


def opened(max_slides: int) -> tuple[OpenSlides, list[str]]:
    """Room for so many pictures, and the names of those that were opened."""
    names: list[str] = []

    def open_(record: SlideRecord) -> PyramidSlide:
        names.append(record.slide_id)
        return open_slide(record.path, record.slide_id, record.mpp)

    return OpenSlides(open_, max_bytes=max_slides * 4 * SIDE_PX**2), names


def test_a_slide_is_opened_once(records: list[SlideRecord]) -> None:
    slides, names = opened(3)
    for record in (*records, *records):
        assert slides[record].slide_id == record.slide_id
    assert names == ["s0", "s1", "s2"]


def test_the_one_that_was_not_asked_for_the_longest_is_closed(records: list[SlideRecord]) -> None:
    slides, names = opened(2)
    for place in (0, 1, 0, 2, 0, 1):
        assert slides[records[place]].read(0, 0, 4, 0.5).max() == place
    assert len(slides) == 2
    assert names == ["s0", "s1", "s2", "s1"]


def test_a_slide_larger_than_the_memory_is_still_read(records: list[SlideRecord]) -> None:
    slides, _ = opened(0)
    assert slides[records[1]].read(0, 0, 4, 0.5).max() == 1
    assert len(slides) == 1
