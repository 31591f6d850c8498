from __future__ import annotations

import numpy as np

from src.eval.report.attention import attention_picture
from src.eval.report.pictures import grid_picture

BOXES = np.array([[0, 0, 100, 100], [100, 0, 100, 100]])
IMAGE = np.full((100, 200, 3), 150, np.uint8)


def corner_of(picture: np.ndarray, patch: int) -> list[int]:
    """A pixel of the patch beside its outline, where no number stands."""
    colour: list[int] = picture[8, 100 * patch + 8].tolist()
    return colour


def test_more_than_an_equal_share_is_red_and_less_is_blue() -> None:
    picture = attention_picture(IMAGE, BOXES, np.array([0.9, 0.1]), n_patches=2)
    red, blue = corner_of(picture, 0), corner_of(picture, 1)
    assert red[0] > 150 > red[2]
    assert blue[2] > 150 > blue[0]


def test_equal_share_has_no_tint() -> None:
    picture = attention_picture(IMAGE, BOXES, np.array([0.25, 0.25]), n_patches=4)
    assert corner_of(picture, 0) == corner_of(picture, 1) == [150] * 3


def test_patch_that_was_not_searched_with_has_neither_tint_nor_number() -> None:
    picture = attention_picture(IMAGE, BOXES, np.array([np.nan, 1.0]), n_patches=2)
    assert np.array_equal(picture[:, :98], grid_picture(IMAGE, BOXES)[:, :98])


def test_share_is_written_in_the_middle_where_there_is_room() -> None:
    middle = np.s_[35:65, 25:75]
    written = attention_picture(IMAGE, BOXES, np.array([0.5, 0.5]), n_patches=2)
    assert (written[middle] == 255).any()
    small = attention_picture(IMAGE[::5, ::5].copy(), BOXES, np.array([0.5, 0.5]), n_patches=2, downsample=5.0)
    assert not (small == 255).any()


def test_patch_may_stick_out_of_the_image() -> None:
    picture = attention_picture(IMAGE, np.array([[-28, -78, 256, 256]]), np.array([1.0]), n_patches=1)
    assert picture.shape == IMAGE.shape
