from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import PIL.Image
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from shapely import Polygon

from src.data.patching import CentredGrid, Patcher, Patching, TissueGrid, WholeImage
from src.data.patching.tissue_grid import is_on_tissue
from src.data.slide import PyramidSlide, open_slide
from src.data.tissue import TissueSegmenter
from src.errors import SlideError, UnreadableSlide
from tests.data.make_slides import Blob, glass, noise, write_pyramid

CONF = Path(__file__).parents[2] / "conf"
GRID = TissueGrid(TissueSegmenter(), patch_size_px=64)


def _slide(
    folder: Path,
    tissue: list[Blob],
    holes: list[Blob] | None = None,
    mpp: float = 0.5,
    size: tuple[int, int] = (1024, 1024),
) -> PyramidSlide:
    return open_slide(write_pyramid(folder / "a.tif", glass(*size, tissue, holes), tile=256), "a", mpp=mpp)


def _region(folder: Path, width: int, height: int, mpp: float = 0.5) -> PyramidSlide:
    PIL.Image.fromarray(noise(width, height)).save(folder / "r.png")
    return open_slide(folder / "r.png", "r", mpp=mpp)


def test_patches_lie_on_one_grid_in_x_major_order_without_overlap(tmp_path: Path) -> None:
    patches = GRID.patches(_slide(tmp_path, [(300, 300, 200, 200), (760, 760, 150, 150)]))
    assert (patches.coords % 64 == 0).all()
    assert patches.coords.tolist() == sorted(patches.coords.tolist())
    assert len({tuple(xy) for xy in patches.coords.tolist()}) == len(patches)
    assert (patches.size_px, patches.size_level0, patches.mpp) == ((64, 64), (64, 64), 0.5)


def test_every_patch_touches_tissue_and_all_inner_tissue_has_a_patch(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(500, 500, 300, 200)])
    patches = GRID.patches(slide)
    covered = np.zeros((1024, 1024), bool)
    for x, y in patches.coords:
        covered[y : y + 64, x : x + 64] = True
        assert (slide.read(int(x), int(y), 64, 0.5) != 245).any()
    inner = glass(1024, 1024, [(500, 500, 240, 140)])[..., 1] == 90
    assert covered[inner].all()
    assert not covered[:200].any()


def test_a_patch_whose_centre_lies_in_a_hole_is_dropped(tmp_path: Path) -> None:
    hole = (512, 512, 150, 150)
    with_hole = GRID.patches(_slide(tmp_path, [(512, 512, 450, 450)], [hole]))
    without = GRID.patches(_slide(tmp_path, [(512, 512, 450, 450)]))
    missing = {tuple(xy) for xy in without.coords.tolist()} - {tuple(xy) for xy in with_hole.coords.tolist()}
    distance = np.hypot(*(np.array(sorted(missing)) + 32 - 512).T)
    assert len(missing) >= 12
    assert (distance < 154).all()


def test_positions_do_not_drift_when_the_step_is_no_whole_number(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(512, 512, 700, 700)], mpp=0.493)
    patches = GRID.patches(slide)
    step = 64 * 0.5 / 0.493
    index = np.rint(patches.coords / step)
    assert len(patches) == 16 * 16
    assert np.abs(patches.coords - index * step).max() <= 0.5
    assert patches.size_level0 == (65, 65)


@pytest.mark.parametrize(("mpp", "size_level0"), [(0.25, 128), (0.5, 64), (1.0, 32)])
def test_patches_have_one_field_at_every_magnification(tmp_path: Path, mpp: float, size_level0: int) -> None:
    slide = _slide(tmp_path, [(512, 512, 400, 400)], mpp=mpp)
    patches = GRID.patches(slide)
    assert patches.size_level0 == (size_level0, size_level0)
    x, y = (int(v) for v in patches.coords[0])
    assert slide.read(x, y, patches.size_px, patches.mpp).shape == (64, 64, 3)


@pytest.mark.parametrize("mpp", [0.25, 0.493, 2.0])
def test_official_patches_are_pixels_of_level_0_at_every_magnification(tmp_path: Path, mpp: float) -> None:
    slide = _slide(tmp_path, [(512, 512, 400, 400)], mpp=mpp)
    patches = replace(GRID, official_level0=True).patches(slide)
    assert (patches.size_px, patches.size_level0, patches.mpp) == ((64, 64), (64, 64), mpp)
    assert (patches.coords % 64 == 0).all()
    x, y = (int(v) for v in patches.coords[len(patches) // 2])
    level0 = glass(1024, 1024, [(512, 512, 400, 400)])
    assert np.array_equal(slide.read(x, y, patches.size_px, patches.mpp), level0[y : y + 64, x : x + 64])


def test_patches_may_stick_out_unless_padding_is_off(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(500, 500, 700, 700)], size=(1000, 1000))
    padded, inside = GRID.patches(slide), replace(GRID, use_padding=False).patches(slide)
    assert padded.coords.max() + 64 > 1000
    assert inside.coords.max() + 64 <= 1000
    assert (len(padded), len(inside)) == (16 * 16, 15 * 15)


def test_the_contours_grid_starts_at_each_bounding_box(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(300, 310, 200, 200), (760, 770, 150, 150)])
    patches = replace(GRID, grid_origin="contour").patches(slide)
    assert patches.tissue is not None
    expected = []
    for contour in patches.tissue.contours:
        outline = np.array(contour.exterior.coords, np.int32)
        x0, y0, width, height = cv2.boundingRect(outline)
        for x in range(x0, x0 + width, 64):
            for y in range(y0, y0 + height, 64):
                if _four_pt(outline, [], (x, y), 64):
                    expected.append([x, y])
    assert patches.coords.tolist() == expected


def test_a_contour_with_a_single_patch_is_dropped_only_on_its_own_grid(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(300, 300, 200, 200), (864, 864, 31, 31)], size=(1024, 1024))
    segmenter = TissueSegmenter(max_min_fraction=0.001)
    own = replace(GRID, segmenter=segmenter, grid_origin="contour", patch_size_px=128).patches(slide)
    one = replace(GRID, segmenter=segmenter, patch_size_px=128).patches(slide)
    assert own.tissue is not None
    assert len(own.tissue.contours) == 2
    assert not (own.coords > 600).any()
    assert (one.coords > 600).any()


def test_a_patch_that_two_contours_share_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = _slide(tmp_path, [(300, 300, 200, 200)])
    grid = replace(GRID, grid_origin="contour")
    once = grid.patches(slide)
    assert once.tissue is not None
    twice = replace(once.tissue, contours=once.tissue.contours * 2)
    monkeypatch.setattr(TissueSegmenter, "segment", lambda self, slide: twice)
    assert np.array_equal(grid.patches(slide).coords, once.coords)


@pytest.mark.parametrize("origin", ["slide", "contour"])
def test_a_slide_without_tissue_has_no_patches(tmp_path: Path, origin: Literal["slide", "contour"]) -> None:
    patches = replace(GRID, grid_origin=origin).patches(_slide(tmp_path, []))
    assert patches.coords.shape == (0, 2)
    assert len(patches) == 0
    assert patches.tissue is not None


def test_a_slide_too_coarse_is_refused_unless_allowed(tmp_path: Path) -> None:
    slide = _slide(tmp_path, [(500, 500, 300, 300)], mpp=1.5)
    with pytest.raises(SlideError, match=r"^a: 1\.5 um .* 0\.5; raise mpp or max_upsampling"):
        GRID.patches(slide)
    assert len(replace(GRID, max_upsampling=3.0).patches(slide)) > 0


def test_a_slide_smaller_than_a_patch_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlide, match="63 x 200 px is smaller than one patch of 64 px"):
        GRID.patches(_region(tmp_path, 63, 200))


def _four_pt(outline: np.ndarray, holes: list[np.ndarray], xy: tuple[int, int], size: int) -> bool:
    """CLAM's rule in OpenCV's words."""
    reach, centre = int(size // 2 * 0.5), (xy[0] + size // 2, xy[1] + size // 2)
    points = [(centre[0] + dx, centre[1] + dy) for dx in (-reach, reach) for dy in (-reach, reach)]
    touches = any(cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0 for x, y in points)
    middle = (xy[0] + size / 2, xy[1] + size / 2)
    return touches and not any(cv2.pointPolygonTest(hole, middle, False) > 0 for hole in holes)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(3, 40))
def test_the_four_point_rule_agrees_with_opencv(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    mask = (cv2.GaussianBlur(rng.random((120, 120)), (0, 0), 6) > 0.5).astype(np.uint8)
    rings, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    large = [i for i, ring in enumerate(rings) if hierarchy[0][i][3] == -1 and cv2.contourArea(ring) > 50]
    coords = rng.integers(-20, 120, (200, 2))
    for i in large:
        holes = [r for j, r in enumerate(rings) if hierarchy[0][j][3] == i and cv2.contourArea(r) > 5]
        expected = [_four_pt(rings[i], holes, (int(x), int(y)), size) for x, y in coords]
        polygon = Polygon(rings[i][:, 0], [hole[:, 0] for hole in holes])
        assert is_on_tissue(coords, size, polygon).tolist() == expected


@pytest.mark.golden
@pytest.mark.parametrize(("grid", "mpp"), [(CentredGrid(), 0.5), (CentredGrid(official_level0=True), 0.23)])
def test_the_query_grid_is_that_of_here(tmp_path: Path, golden_dir: Path, grid: CentredGrid, mpp: float) -> None:
    for case in json.loads((golden_dir / "here_query_grid.json").read_text())["cases"]:
        width, height = case["size"]
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        red = ((7 * y + 3 * x) % 251).astype(np.uint8)
        PIL.Image.fromarray(np.stack([red, red[::-1], red[:, ::-1]], axis=-1)).save(tmp_path / "q.png")
        slide = open_slide(tmp_path / "q.png", "q", mpp=mpp, background=(0, 0, 0))
        patches = grid.patches(slide)
        padding = (np.array(case["padded_size"]) - case["size"]) // 2
        sums = [int(slide.read(int(x), int(y), 256, patches.mpp).sum(dtype=np.int64)) for x, y in patches.coords]
        assert (patches.coords + padding + 128).tolist() == case["centres_xy"]
        assert sums == case["patch_sums"]


def test_the_centred_grid_leaves_equal_borders_at_any_resolution(tmp_path: Path) -> None:
    patches = CentredGrid(64, 0.5).patches(_region(tmp_path, 1020, 600, mpp=0.27))
    step = 64 * 0.5 / 0.27
    assert len(patches) == (1020 // step) * (600 // step)
    left, right = patches.coords.min(axis=0), np.array([1020, 600]) - patches.coords.max(axis=0) - step
    assert np.abs(left - right).max() <= 2
    assert (left >= 0).all()


def test_a_region_that_misses_a_patch_by_less_than_half_a_pixel_keeps_it(tmp_path: Path) -> None:
    region = _region(tmp_path, 512, 512, mpp=0.4998)  # two patches are 512.2 px
    assert len(CentredGrid().patches(region)) == 4


def test_a_small_region_is_one_centred_patch_with_borders(tmp_path: Path) -> None:
    region = _region(tmp_path, 40, 100)
    patches = CentredGrid(64).patches(region)
    assert patches.coords.tolist() == [[-12, 18]]
    patch = region.read(-12, 18, 64, 0.5)
    assert (patch[:, :12] == 255).all()
    assert (patch[:, 52:] == 255).all()
    assert np.array_equal(patch[:, 12:52], noise(40, 100)[18:82])


def test_the_whole_image_is_one_patch_of_its_own_pixels(tmp_path: Path) -> None:
    region = _region(tmp_path, 120, 90, mpp=0.3)
    patches = WholeImage().patches(region)
    assert patches.coords.tolist() == [[0, 0]]
    assert (patches.size_level0, patches.size_px, patches.mpp) == ((120, 90), (120, 90), 0.3)
    assert np.array_equal(region.read(0, 0, patches.size_px, patches.mpp), noise(120, 90))


def test_an_image_too_large_for_one_patch_is_refused(tmp_path: Path) -> None:
    assert len(WholeImage(120).patches(_region(tmp_path, 120, 90))) == 1
    with pytest.raises(SlideError, match=r"^r: 120 x 90 px .* use a grid"):
        WholeImage(119).patches(_region(tmp_path, 120, 90))


def test_a_query_is_cut_as_its_database_is() -> None:
    patching = Patching(slides=replace(GRID, patch_size_px=224, mpp=0.6), regions=WholeImage())
    assert patching.of("slides") is patching.for_query("slides", is_pyramid=True) is patching.slides
    assert patching.for_query("slides", is_pyramid=False) == CentredGrid(224, 0.6)
    official = replace(patching, slides=replace(GRID, official_level0=True))
    assert official.for_query("slides", is_pyramid=False) == CentredGrid(64, 0.5, official_level0=True)
    for is_pyramid in (True, False):
        assert patching.of("regions") is patching.for_query("regions", is_pyramid) is patching.regions


CHANGES: list[tuple[Patcher, Patcher]] = [
    (GRID, replace(GRID, mpp=1.0)),
    (GRID, replace(GRID, segmenter=TissueSegmenter(threshold=20))),
    (GRID, replace(GRID, min_coverage=0.5)),
    (GRID, replace(GRID, official_level0=True)),
    (CentredGrid(), CentredGrid(mpp=1.0)),
    (CentredGrid(), WholeImage()),
    (WholeImage(), WholeImage(100)),
]


@pytest.mark.parametrize(("one", "other"), CHANGES)
def test_the_fingerprint_tells_patchers_apart_and_is_json(one: Patcher, other: Patcher) -> None:
    assert json.loads(json.dumps(one.fingerprint())) == one.fingerprint()
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(("name", "regions"), [("whole_image", WholeImage()), ("grid", CentredGrid())])
def test_the_configs_spell_out_every_parameter_with_its_default(name: str, regions: Patcher) -> None:
    groups = {"tissue": CONF / "tissue" / "clam.yaml", "patching": CONF / "patching" / f"{name}.yaml"}
    config = OmegaConf.create({group: OmegaConf.load(path) for group, path in groups.items()})
    patching = instantiate(config.patching, _convert_="all")
    assert patching == Patching(TissueGrid(TissueSegmenter()), regions)
    spelled_out = config.patching
    every_parameter_set = replace(patching.slides, min_coverage=0.7).fingerprint()
    for part in (spelled_out.slides, spelled_out.regions):
        assert _names(part) == _names(every_parameter_set if "segmenter" in part else regions.fingerprint())


def _names(parameters: Any) -> set[str]:
    own = set(parameters) - {"_target_", "patcher"}
    return own | (set(parameters["segmenter"]) - {"_target_"} if "segmenter" in own else set())


@pytest.mark.real
def test_real_slides_give_patches_that_can_be_read(real_dir: Path) -> None:
    grid = TissueGrid(TissueSegmenter())
    counts = {"CMU-1-Small-Region.svs": (40, 60), "TCGA-CR-7395-01A-01-TS1.svs": (150, 190)}
    for name, (least, most) in counts.items():
        slide = open_slide(real_dir / "wsi" / name, name, default_mpp=0.5)
        patches = grid.patches(slide)
        assert least <= len(patches) <= most
        x, y = (int(v) for v in patches.coords[len(patches) // 2])
        assert slide.read(x, y, patches.size_px, patches.mpp).std() > 10


@pytest.mark.real
def test_slides_of_a_few_pixels_are_unreadable(real_dir: Path) -> None:
    cases = real_dir / "wsi" / "edge_cases"
    for path in (cases / "small_16x16.svs", cases / "boxes_dicom" / "boxes_0.dcm"):
        with pytest.raises(UnreadableSlide, match="smaller than one patch"):
            TissueGrid(TissueSegmenter()).patches(open_slide(path, path.stem))
