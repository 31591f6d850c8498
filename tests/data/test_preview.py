from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import shapely
from shapely.geometry import shape

from src.data.patching import Patches, TissueGrid, WholeImage
from src.data.preview import write_previews
from src.data.slide import PyramidSlide, open_slide
from src.data.tissue import Tissue, TissueSegmenter
from tests.data.make_slides import glass, write_pyramid

GREEN, ORANGE, GREY = (0, 135, 90), (240, 140, 0), (232, 232, 232)


@pytest.fixture
def slide(tmp_path: Path) -> PyramidSlide:
    image = glass(1024, 768, [(500, 400, 300, 250)], [(450, 420, 100, 90)])
    return open_slide(write_pyramid(tmp_path / "a.tif", image, tile=256), "TCGA-A1")


@pytest.fixture
def patches(slide: PyramidSlide) -> Patches:
    return TissueGrid(TissueSegmenter(), patch_size_px=64).patches(slide)


def _png(folder: Path, kind: str) -> np.ndarray:
    return np.asarray(PIL.Image.open(folder / kind / "TCGA-A1.png"))


def _features(folder: Path) -> list[dict[str, Any]]:
    collection = json.loads((folder / "geojson" / "TCGA-A1.geojson").read_text())
    assert collection["type"] == "FeatureCollection"
    features: list[dict[str, Any]] = collection["features"]
    return features


def test_exactly_three_files_are_written(slide: PyramidSlide, patches: Patches, tmp_path: Path) -> None:
    write_previews(slide, patches, tmp_path / "out")
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written == {"masks/TCGA-A1.png", "stitches/TCGA-A1.png", "geojson/TCGA-A1.geojson"}


def test_the_mask_outlines_tissue_and_holes_where_they_are(
    slide: PyramidSlide, patches: Patches, tmp_path: Path
) -> None:
    write_previews(slide, patches, tmp_path)
    mask = _png(tmp_path, "masks")
    ys, xs = np.nonzero((mask == GREEN).all(axis=2))
    assert np.allclose((xs.min(), xs.max(), ys.min(), ys.max()), (200, 800, 150, 650), atol=4)
    ys, xs = np.nonzero((mask == ORANGE).all(axis=2))
    assert np.allclose((xs.min(), xs.max(), ys.min(), ys.max()), (350, 550, 330, 510), atol=4)


def test_the_stitch_shows_the_kept_patches_and_nothing_else(
    slide: PyramidSlide, patches: Patches, tmp_path: Path
) -> None:
    write_previews(slide, patches, tmp_path)
    stitch = _png(tmp_path, "stitches")
    covered = np.zeros(stitch.shape[:2], bool)
    for x, y in patches.coords:
        inside = np.s_[y + 2 : y + 62, x + 2 : x + 62]
        assert np.array_equal(stitch[inside], slide.overview(1.0)[inside])
        covered[y : y + 65, x : x + 65] = True
    assert (stitch[~covered] == GREY).all()
    assert (~covered).any()


def test_qupath_gets_tissue_as_annotations_and_patches_as_tiles(
    slide: PyramidSlide, patches: Patches, tmp_path: Path
) -> None:
    write_previews(slide, patches, tmp_path)
    tissue, *tiles = _features(tmp_path)
    assert tissue["properties"]["objectType"] == "annotation"
    assert tissue["properties"]["classification"] == {"name": "Tissue", "color": list(GREEN)}
    assert np.allclose(shape(tissue["geometry"]).bounds, (200, 150, 800, 650), atol=4)
    assert len(shape(tissue["geometry"]).interiors) == 1
    assert {tile["properties"]["objectType"] for tile in tiles} == {"tile"}
    assert [shape(tile["geometry"]).bounds[:2] for tile in tiles] == [tuple(xy) for xy in patches.coords.tolist()]
    assert {shape(tile["geometry"]).area for tile in tiles} == {64.0 * 64.0}


def test_outlines_that_touch_themselves_become_valid_polygons(slide: PyramidSlide, tmp_path: Path) -> None:
    pinched = shapely.Polygon([(0, 0), (400, 0), (200, 200), (400, 400), (0, 400), (200, 200)])
    assert not pinched.is_valid
    overview = slide.overview(4.0)
    tissue = Tissue((pinched,), np.zeros(overview.shape[:2], bool), overview, (1024, 768))
    write_previews(slide, Patches(np.empty((0, 2), np.int64), (64, 64), (64, 64), 0.5, tissue), tmp_path)
    (feature,) = _features(tmp_path)
    geometry = shape(feature["geometry"])
    assert geometry.is_valid
    assert geometry.geom_type in ("Polygon", "MultiPolygon")
    assert geometry.area == pytest.approx(pinched.area, rel=0.05)


def test_a_slide_without_tissue_is_an_empty_canvas(tmp_path: Path) -> None:
    bare = open_slide(write_pyramid(tmp_path / "a.tif", glass(512, 512, [])), "TCGA-A1")
    write_previews(bare, TissueGrid(TissueSegmenter(), 64).patches(bare), tmp_path)
    assert (_png(tmp_path, "stitches") == GREY).all()
    assert _features(tmp_path) == []


def test_a_region_taken_whole_is_shown_as_it_is(tmp_path: Path) -> None:
    image = glass(300, 200, [(150, 100, 80, 60)])
    PIL.Image.fromarray(image).save(tmp_path / "r.png")
    region = open_slide(tmp_path / "r.png", "TCGA-A1", mpp=0.5)
    write_previews(region, WholeImage().patches(region), tmp_path)
    assert np.array_equal(_png(tmp_path, "masks"), image)
    (tile,) = _features(tmp_path)
    assert shape(tile["geometry"]).bounds == (0, 0, 300, 200)


def test_a_large_slide_gets_a_small_picture(tmp_path: Path) -> None:
    image = glass(3000, 1500, [(1500, 700, 800, 500)])
    large = open_slide(write_pyramid(tmp_path / "a.tif", image, tile=256), "TCGA-A1")
    write_previews(large, WholeImage().patches(large), tmp_path)
    assert _png(tmp_path, "masks").shape == (512, 1024, 3)
