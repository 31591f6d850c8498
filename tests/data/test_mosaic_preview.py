from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from src.data.mosaic_preview import mosaic_picture, write_mosaic_preview
from src.data.slide import open_slide
from tests.data.make_slides import glass, noise, write_pyramid

GREEN = np.array((0, 135, 90))
COORDS = np.array([[0, 0], [64, 0], [0, 64], [128, 64]])


@pytest.mark.parametrize("downsample", [1, 2])
def test_kept_patches_have_their_colours_and_a_frame_and_nothing_else_has(downsample: int) -> None:
    overview = noise(256 // downsample, 192 // downsample)
    picture = mosaic_picture(overview, (256, 192), COORDS, COORDS[[1, 3]], (64, 64))
    inside = np.zeros(overview.shape[:2], dtype=bool)
    for x, y in COORDS[[1, 3]] // downsample:
        inside[y + 2 : y + 64 // downsample - 1, x + 2 : x + 64 // downsample - 1] = True
    np.testing.assert_array_equal(picture[inside], overview[inside])
    rows, columns = np.nonzero((picture == GREEN).all(axis=2))
    corners = np.stack([columns, rows], axis=1) * downsample
    assert corners.min(axis=0).tolist() == [64, 0]
    assert (corners.max(axis=0) - [192, 128]).tolist() == [0, 0]
    outside = picture[: 60 // downsample, : 60 // downsample]
    assert outside.min() > 100


def test_a_picture_of_a_slide_is_small(tmp_path: Path) -> None:
    slide = open_slide(write_pyramid(tmp_path / "s.tif", glass(3000, 1500, [(1500, 700, 800, 500)]), tile=256), "s")
    write_mosaic_preview(tmp_path / "out" / "s.png", slide, COORDS + 1024, COORDS[:1] + 1024, (64, 64))
    assert PIL.Image.open(tmp_path / "out" / "s.png").size == (1024, 512)
