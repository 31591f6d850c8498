from __future__ import annotations

import numpy as np
import pytest

from src.eval.report.pictures import (
    context_picture,
    grid_picture,
    patch_picture,
    place_picture,
    unreadable_picture,
)
from src.interfaces import Image
from tests.eval.report_data import ArraySlide, BrokenSlide

TISSUE = (200, 60, 140)
TARGET = (20, 160, 60)


def slide_with_target(
    width: int = 800, height: int = 600, at: tuple[int, int] = (500, 200), side: int = 40
) -> ArraySlide:
    pixels = np.full((height, width, 3), TISSUE, dtype=np.uint8)
    pixels[at[1] : at[1] + side, at[0] : at[0] + side] = TARGET
    return ArraySlide(pixels)


def is_near(picture: Image, colour: tuple[int, int, int]) -> np.ndarray:
    return np.asarray(np.abs(picture.astype(int) - colour).max(axis=2) < 40)


def test_patch_picture_shows_the_patch_alone() -> None:
    picture = patch_picture(slide_with_target(), 500, 200, 40, px=160)
    assert picture.shape == (160, 160, 3)
    assert is_near(picture, TARGET).all()


def test_patch_picture_keeps_the_shape_of_an_oblong_patch() -> None:
    assert patch_picture(slide_with_target(), 0, 0, (400, 300), px=160).shape == (120, 160, 3)


def test_context_picture_is_centred_on_the_patch_and_outlines_it() -> None:
    picture = context_picture(slide_with_target(), 500, 200, 40, px=200, field=5)
    assert picture.shape == (200, 200, 3)
    ys, xs = np.nonzero(is_near(picture, TARGET))
    assert abs(xs.mean() - 100) < 2
    assert abs(ys.mean() - 100) < 2
    white = is_near(picture, (255, 255, 255))
    assert white[80, 85:115].all()
    assert white[85:115, 120].all()


def test_context_at_a_corner_stays_inside_the_slide() -> None:
    picture = context_picture(slide_with_target(at=(760, 560)), 760, 560, 40, px=200, field=5)
    assert is_near(picture, TARGET)[180:195, 180:195].any()
    assert not is_near(picture[:150, :150], (255, 255, 255)).any()


def test_context_of_a_patch_as_large_as_its_slide_shows_the_outline() -> None:
    picture = context_picture(slide_with_target(), 0, 0, (800, 600), px=200)
    assert picture.shape == (150, 200, 3)
    assert is_near(picture, (255, 255, 255))[2:5].any(axis=0).mean() > 0.9


@pytest.mark.parametrize("side", [2, 10])
def test_place_of_a_tiny_patch_is_seen_as_a_ring_around_it(side: int) -> None:
    slide = slide_with_target(width=4000, height=3000)
    picture = place_picture(slide, np.array([[2000, 1000, side, side]]), px=320)
    assert picture.shape == (240, 320, 3)
    ys, xs = np.nonzero(is_near(picture, (255, 212, 0)))
    assert len(xs) > 60
    assert abs(xs.mean() - 160) < 2
    assert abs(ys.mean() - 80) < 2
    assert np.hypot(xs - 160, ys - 80).min() > 5


def test_place_of_a_large_patch_is_its_outline() -> None:
    picture = place_picture(slide_with_target(), np.array([[200, 150, 400, 300]]), px=320)
    yellow = is_near(picture, (255, 212, 0))
    assert yellow[60, 90:230].all()
    assert not yellow[80:160, 100:220].any()


def test_grid_outlines_every_patch_and_leaves_the_image_as_it_was() -> None:
    image = np.full((100, 100, 3), 255, dtype=np.uint8)
    boxes = np.array([[0, 0, 80, 80], [80, 80, 80, 80]])
    picture = grid_picture(image, boxes, downsample=2.0)
    assert (image == 255).all()
    dark = picture[..., 0] < 200
    assert dark[0, :40].all()
    assert dark[40, 40:80].all()
    assert not dark[5:35, 5:35].any()


def test_slide_that_cannot_be_read_gives_a_grey_tile() -> None:
    broken = BrokenSlide(np.zeros((50, 50, 3), dtype=np.uint8))
    grey = unreadable_picture(96)
    for slide in (broken, None):
        assert np.array_equal(patch_picture(slide, 0, 0, 8, px=96), grey)
        assert np.array_equal(context_picture(slide, 0, 0, 8, px=96), grey)
        assert np.array_equal(place_picture(slide, np.array([[0, 0, 8, 8]]), px=96), grey)


def test_unreadable_picture_carries_text() -> None:
    picture = unreadable_picture(160)
    assert picture.shape == (160, 160, 3)
    assert 0.005 < (picture[..., 0] < 150).mean() < 0.2
