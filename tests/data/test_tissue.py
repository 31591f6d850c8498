from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from src.data.slide import PyramidSlide, open_slide
from src.data.tissue import TissueSegmenter
from src.errors import ConfigError, UnreadableSlide
from tests.data.make_slides import Blob, corrupt_tile, glass, write_pyramid


def _slide(folder: Path, tissue: list[Blob], holes: list[Blob] | None = None, side: int = 1024) -> PyramidSlide:
    return open_slide(write_pyramid(folder / "a.tif", glass(side, side, tissue, holes), tile=256), "a")


def test_tissue_is_found_where_it_is_with_its_hole(tmp_path: Path) -> None:
    tissue = TissueSegmenter().segment(_slide(tmp_path, [(500, 400, 300, 200)], [(450, 420, 80, 60)]))
    (contour,) = tissue.contours
    assert np.allclose(contour.bounds, (200, 200, 800, 600), atol=4)
    assert len(contour.interiors) == 1
    assert np.allclose(shapely.Polygon(contour.interiors[0]).bounds, (370, 360, 530, 480), atol=4)
    expected = np.pi * (300 * 200 - 80 * 60) / 1024**2
    assert tissue.fraction == pytest.approx(expected, rel=0.02)
    assert tissue.mask.mean() == pytest.approx(expected, rel=0.02)


def test_contours_are_level_0_pixels_whatever_the_overview(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(500, 400, 300, 200)])
    coarse = TissueSegmenter(min_overview_px=128).segment(slide)
    assert coarse.mask.shape == (128, 128)
    assert coarse.scale_xy == (8.0, 8.0)
    assert np.allclose(coarse.contours[0].bounds, (200, 200, 800, 600), atol=16)


def test_bare_glass_has_no_tissue(tmp_path: Path) -> None:
    tissue = TissueSegmenter().segment(_slide(tmp_path, []))
    assert tissue.contours == ()
    assert tissue.fraction == 0
    assert not tissue.mask.any()


def test_a_piece_inside_a_hole_is_tissue(tmp_path: Path) -> None:
    image = glass(1024, 1024, [(500, 500, 400, 400)], [(500, 500, 300, 300)])
    island = glass(1024, 1024, [(500, 500, 150, 150)])
    image[island[..., 1] == 90] = (170, 90, 160)
    tissue = TissueSegmenter().segment(open_slide(write_pyramid(tmp_path / "a.tif", image, tile=256), "a"))
    assert len(tissue.contours) == 2
    assert tissue.fraction == pytest.approx(np.pi * (400**2 - 300**2 + 150**2) / 1024**2, rel=0.02)


def test_small_pieces_are_dropped_by_a_share_of_a_small_slide(tmp_path: Path) -> None:
    least = 0.01 * 1024**2
    above, below = int((least * 1.2 / np.pi) ** 0.5), int((least * 0.8 / np.pi) ** 0.5)
    slide = _slide(tmp_path, [(300, 300, above, above), (700, 700, below, below)])
    (contour,) = TissueSegmenter().segment(slide).contours
    assert np.allclose(contour.centroid.coords[0], (300, 300), atol=2)


def test_small_pieces_are_dropped_by_patches_in_a_large_slide(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(300, 300, 100, 100), (700, 700, 60, 60)])
    segmenter = TissueSegmenter(reference_patch_px=32, max_min_fraction=1.0)
    both = TissueSegmenter(reference_patch_px=16, max_min_fraction=1.0).segment(slide)
    only = segmenter.segment(slide)  # 16 x 32^2 = 16384 px, the smaller piece has 11310
    assert len(both.contours) == 2
    assert np.allclose(only.contours[0].centroid.coords[0], (300, 300), atol=2)
    assert len(only.contours) == 1


def test_only_the_largest_holes_are_kept(tmp_path: Path) -> None:
    radii = [60, 50, 40, 30]
    holes = [(200 + 200 * i, 500, radius, radius) for i, radius in enumerate(radii)]
    slide = _slide(tmp_path, [(512, 512, 480, 400)], holes)
    (two,) = TissueSegmenter(max_holes=2).segment(slide).contours
    widths = sorted(shapely.Polygon(ring).bounds[2] - shapely.Polygon(ring).bounds[0] for ring in two.interiors)
    assert np.allclose(widths, [100, 120], atol=4)


def test_small_holes_are_filled(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(512, 512, 480, 400)], [(300, 500, 100, 100), (700, 500, 20, 20)])
    (contour,) = TissueSegmenter().segment(slide).contours
    assert len(contour.interiors) == 1


def test_otsu_finds_tissue_on_tinted_glass(tmp_path: Path) -> None:
    image = glass(512, 512, [(256, 256, 120, 120)])
    image[(image == 245).all(axis=2)] = (225, 205, 225)
    slide = open_slide(write_pyramid(tmp_path / "a.tif", image), "a")
    assert TissueSegmenter().segment(slide).fraction > 0.95
    assert TissueSegmenter(otsu=True).segment(slide).fraction == pytest.approx(np.pi * 120**2 / 512**2, rel=0.03)


def test_the_same_pixels_give_the_same_tissue_with_and_without_a_pyramid(tmp_path: Path) -> None:
    image = glass(2048, 2048, [(900, 1000, 600, 500)], [(900, 1000, 200, 150)])
    single = TissueSegmenter(min_overview_px=256).segment(open_slide(write_pyramid(tmp_path / "a.tif", image), "a"))
    pyramid = TissueSegmenter(min_overview_px=256).segment(
        open_slide(write_pyramid(tmp_path / "b.tif", image, n_levels=3), "b")
    )
    overlap = single.contours[0].intersection(pyramid.contours[0]).area
    assert overlap / single.contours[0].union(pyramid.contours[0]).area > 0.99


def test_a_slide_whose_overview_is_corrupt_is_unreadable(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(500, 400, 300, 200)])
    slide.close()
    corrupt_tile(tmp_path / "a.tif", 3)
    with pytest.raises(UnreadableSlide):
        TissueSegmenter().segment(open_slide(tmp_path / "a.tif", "a"))


@pytest.mark.parametrize("wrong", [{"downsample": 0.5}, {"median_px": 6}])
def test_parameters_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TissueSegmenter(**wrong)


@pytest.mark.real
def test_real_tissue_is_a_plausible_share_of_the_slide(real_dir: Path) -> None:
    wsi = real_dir / "wsi"
    cmu = TissueSegmenter().segment(open_slide(wsi / "CMU-1-Small-Region.svs", "cmu"))
    tcga = TissueSegmenter().segment(open_slide(wsi / "TCGA-CR-7395-01A-01-TS1.svs", "tcga", mpp=0.5))
    her2st = TissueSegmenter(otsu=True).segment(open_slide(wsi / "derived_pyramids" / "her2st_B4.tif", "b4"))
    assert 0.3 < cmu.fraction < 0.45
    assert 0.55 < tcga.fraction < 0.7
    assert 0.1 < her2st.fraction < 0.2
