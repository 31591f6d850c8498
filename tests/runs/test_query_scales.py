from __future__ import annotations

from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from src.data.halving import halved
from src.data.image_pixels import ImagePixels
from src.data.patching import CentredGrid, Patches, WholeImage
from src.data.slide import PyramidSlide
from src.errors import ConfigError
from src.index.significance import Significance
from src.interfaces import Hit, Ranking, SlideFeatures
from src.runs.query_images import QueryImage
from src.runs.query_scales import Scale, check_halvings, halvings_to_try, most_significant


def image(width: int, height: int, mpp: float = 0.5, is_pyramid: bool = False) -> QueryImage:
    slide = PyramidSlide("q", ImagePixels(PIL.Image.new("RGB", (width, height))), mpp, "table")
    slide.is_pyramid = is_pyramid
    return QueryImage(slide, "q.png")


def scale(halvings: int, z: float | None, n_hits: int = 1) -> Scale:
    """Searched with one patch; the first hit has `z`."""
    hits = tuple(Hit("s", "p", i, 0, 0.1, -float(i)) for i in range(n_hits))
    values = np.full(n_hits, np.nan if z is None else z)
    chance = None if z is None else Significance(values, values, values, 1.0, 0.1)
    query = SlideFeatures("q", np.zeros((1, 2), np.int64), np.zeros((1, 4), np.float32), (8, 8), 0.5)
    patches = Patches(query.coords, (8, 8), (8, 8), 0.5)
    return Scale(halvings, (image(8, 8),), (patches,), query, Ranking("q", hits), chance, {})


@pytest.mark.parametrize(
    ("images", "most"),
    [
        ([image(1020, 768)], 1),
        ([image(2048, 1024)], 2),
        ([image(2048, 1024), image(300, 700)], 0),
        ([image(100, 90)], 0),
        ([image(2048, 2048, mpp=0.25)], 2),  # a patch of 128 um is 512 px wide
    ],
)
def test_auto_halves_while_every_image_is_as_large_as_one_patch(images: list[QueryImage], most: int) -> None:
    assert halvings_to_try("auto", images, [CentredGrid()] * len(images)) == range(most + 1)


def test_a_patch_without_a_size_counts_as_256_px() -> None:
    assert halvings_to_try("auto", [image(1024, 1024, mpp=0.25)], [WholeImage()]) == range(3)


def test_patches_of_level_0_are_counted_in_its_pixels() -> None:
    assert halvings_to_try("auto", [image(1024, 1024, mpp=0.25)], [CentredGrid(official_level0=True)]) == range(3)


def test_a_number_of_halvings_is_the_only_one_tried() -> None:
    assert halvings_to_try(5, [image(100, 90)], [CentredGrid()]) == range(5, 6)


def test_as_many_halvings_as_leave_a_pixel_are_taken() -> None:
    small = image(100, 90)
    check_halvings(6, [small])
    assert halved(small.slide, 6).height_px == 1
    with pytest.raises(ConfigError, match=r"leaves nothing of q.png, 100 x 90 px; at most 6 fits"):
        check_halvings(7, [image(500, 500), small])


@pytest.mark.parametrize("asked", [-1, 1.5, "all", True, None])
def test_what_is_no_number_of_halvings_is_refused(asked: object) -> None:
    with pytest.raises(ConfigError, match=r"expected a whole number from 0, or auto"):
        check_halvings(asked, [image(500, 500)])


def test_whole_slide_is_halved_by_its_region_only() -> None:
    slide = image(9000, 9000, is_pyramid=True)
    check_halvings(0, [slide])
    for asked in (1, "auto"):
        with pytest.raises(ConfigError, match=r"cut one out with query.region"):
            check_halvings(asked, [image(500, 500), slide])


def test_lowest_z_of_the_first_hit_wins_and_ties_go_to_fewer_halvings() -> None:
    scales = [scale(0, -1.0), scale(1, -3.0), scale(2, -3.0), scale(3, 5.0)]
    assert most_significant(scales).halvings == 1
    assert most_significant(scales[::-1]).halvings == 1


def test_scale_without_hits_is_the_last_choice() -> None:
    assert most_significant([scale(0, -9.0, n_hits=0), scale(1, 2.0)]).halvings == 1
    assert most_significant([scale(1, -9.0, n_hits=0), scale(0, -9.0, n_hits=0)]).halvings == 0


def test_auto_without_a_background_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs an index with a background"):
        most_significant([scale(0, -1.0), replace(scale(1, None), halvings=1)])
