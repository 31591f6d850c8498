from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from src.data.halving import halved, most_halvings
from src.data.patching import CentredGrid
from src.data.slide import PyramidSlide, open_slide


@pytest.fixture
def slide(tmp_path: Path) -> PyramidSlide:
    pixels = np.random.default_rng(0).integers(0, 256, (515, 1021, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "q.png")
    return open_slide(tmp_path / "q.png", "q", mpp=0.5)


@pytest.mark.parametrize("halvings", [0, 1, 3])
def test_pixels_are_those_of_one_bicubic_step_to_sides_rounded_down(slide: PyramidSlide, halvings: int) -> None:
    whole = PIL.Image.fromarray(slide.read(0, 0, (1021, 515), 0.5))
    size = int(1021 / 2**halvings), int(515 / 2**halvings)
    small = halved(slide, halvings)
    assert (small.width_px, small.height_px) == size
    assert np.array_equal(small.read(0, 0, size, 0.5), np.asarray(whole.resize(size, PIL.Image.Resampling.BICUBIC)))


def test_a_patch_sees_twice_the_field_at_half_the_resolution(slide: PyramidSlide) -> None:
    small = halved(slide, 1)
    assert small.mpp == slide.mpp
    assert len(CentredGrid(64, 0.5).patches(slide)) == 15 * 8
    assert len(CentredGrid(64, 0.5).patches(small)) == 7 * 4


@pytest.mark.parametrize(("side", "smallest"), [(1, 1), (255, 256), (256, 256), (2048, 256), (2047, 256), (1000, 7)])
def test_one_halving_more_would_be_too_many(side: int, smallest: int) -> None:
    most = most_halvings(side, smallest)
    assert most == 0 or int(side / 2**most) >= smallest
    assert int(side / 2 ** (most + 1)) < smallest
