from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.data.hsd_tissue import HsdSegmenter
from src.data.patching.tissue_grid import TissueGrid, coverage
from src.data.slide import PyramidSlide, open_slide
from src.data.tissue import Segmenter, Tissue
from src.errors import ConfigError
from tests.data.make_slides import Blob, glass, write_pyramid


def slide_with(folder: Path, tissue: list[Blob], side: int = 1024) -> PyramidSlide:
    return open_slide(write_pyramid(folder / "a.tif", glass(side, side, tissue), tile=256), "a", mpp=0.5)


def test_hsd_keeps_its_protocol() -> None:
    assert isinstance(HsdSegmenter(), Segmenter)


def test_stain_is_tissue_and_grey_and_yellow_are_not() -> None:
    overview = np.full((200, 300, 3), 244, np.uint8)
    overview[:, :80] = (180, 90, 170)  # purple
    overview[:, 100:180] = (120, 122, 121)  # grey
    overview[:, 220:] = (200, 190, 60)  # yellow
    mask = HsdSegmenter().mask_of(overview)
    assert mask[:, :80].all()
    assert not mask[:, 80:].any()


def test_contours_are_those_of_the_mask_in_level_0_pixels(tmp_path: Path) -> None:
    tissue = HsdSegmenter(overview_px=256).segment(slide_with(tmp_path, [(500, 400, 300, 200)]))
    assert len(tissue.contours) == 1
    assert tissue.fraction == pytest.approx(tissue.mask.mean(), rel=0.05)
    left, top, right, bottom = tissue.contours[0].bounds
    np.testing.assert_allclose([left, top, right, bottom], [200, 200, 800, 600], atol=8)


def test_bare_glass_has_no_tissue_and_no_patches(tmp_path: Path) -> None:
    slide = slide_with(tmp_path, [])
    assert HsdSegmenter().segment(slide).contours == ()
    assert len(TissueGrid(HsdSegmenter(), patch_size_px=128, min_coverage=0.7).patches(slide)) == 0


def test_patches_are_kept_by_their_share_of_tissue(tmp_path: Path) -> None:
    slide = slide_with(tmp_path, [(512, 512, 400, 300)])
    grid = TissueGrid(HsdSegmenter(overview_px=1024), patch_size_px=128, min_coverage=0.7)
    patches, tissue = grid.patches(slide), HsdSegmenter(overview_px=1024).segment(slide)
    every = {
        (x, y): tissue.mask[y : y + 128, x : x + 128].mean() for x in range(0, 1024, 128) for y in range(0, 1024, 128)
    }
    assert 0 < len(patches) < 64
    assert {(x, y) for x, y in patches.coords.tolist()} == {place for place, share in every.items() if share >= 0.7}


def test_a_patch_smaller_than_a_pixel_of_the_mask_is_that_pixel() -> None:
    mask = np.array([[True, False], [False, False]])
    tissue = Tissue((), mask, np.zeros((2, 2, 3), np.uint8), (8, 8))
    coords = np.array([[0, 0], [0, 2], [4, 0], [6, 6]])
    assert coverage(coords, 2.0, tissue).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(("min_coverage", "origin"), [(0.0, "slide"), (1.1, "slide"), (0.5, "contour")])
def test_a_coverage_that_cannot_work_is_refused(min_coverage: float, origin: str) -> None:
    with pytest.raises(ConfigError, match=r"min_coverage is .* expected above 0 to 1 with grid_origin=slide"):
        TissueGrid(HsdSegmenter(), grid_origin=origin, min_coverage=min_coverage)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"overview_px": 0}, {"blur_px": 0}])
def test_sides_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected at least 1"):
        HsdSegmenter(**wrong)


@pytest.mark.golden
def test_the_mask_is_the_recorded_one(golden_dir: Path) -> None:
    with np.load(golden_dir / "g7a_yottixel_tissue.npz", allow_pickle=False) as recorded:
        np.testing.assert_array_equal(HsdSegmenter().mask_of(recorded["thumbnail"]), recorded["mask"] > 0)


@pytest.mark.golden
@pytest.mark.parametrize(("objective", "step"), [("p20", 1000.0), ("p40", 2000.0)])
def test_patches_and_their_coverage_are_the_recorded_ones(golden_dir: Path, objective: str, step: float) -> None:
    with np.load(golden_dir / "g7a_yottixel_tissue.npz", allow_pickle=False) as recorded:
        width, height = recorded["slide_wh"].tolist()
        tissue = Tissue((), recorded["mask"] > 0, recorded["thumbnail"], (width, height))
        coords = np.ascontiguousarray(recorded[f"{objective}_wsi"][:, ::-1])
        found, expected = coverage(coords, step, tissue), recorded[f"{objective}_cov"]
        np.testing.assert_array_equal(found[~np.isnan(expected)], expected[~np.isnan(expected)])
