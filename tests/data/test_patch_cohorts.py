"""The public patch data sets, in tiny folders of their layouts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from src.data.cohort import Cohort
from src.data.cohorts.bcss import bcss_cohort
from src.data.cohorts.cut_images import cut_once
from src.data.cohorts.kather100k import CLASSES, kather100k_cohort
from src.data.cohorts.kimia_path24c import SCANS, kimia_path24c_cohort
from src.data.cohorts.nucls import nucls_cohort
from src.data.cohorts.pannuke import count_nuclei, pannuke_cohort
from src.data.slide import open_slide
from src.errors import CohortError
from tests.data.patch_layouts import write_bcss, write_kather100k, write_kimia, write_nucls, write_pannuke

TUMOR, STROMA = 1, 2


def queries(cohort: Cohort) -> set[str]:
    return set(cohort.table.loc[cohort.table["split"] == "query", "slide_id"])


def first_image(cohort: Cohort) -> np.ndarray:
    record = next(cohort.records())
    slide = open_slide(record.path, record.slide_id, record.mpp)
    return slide.read(0, 0, (slide.width_px, slide.height_px), slide.mpp)


def test_kather100k_asks_as_many_of_each_class_and_searches_all(tmp_path: Path) -> None:
    root = write_kather100k(tmp_path)
    cohort = kather100k_cohort(root, queries_per_class=2, is_complete=False)
    assert len(cohort) == 27
    assert Counter(name.split("-")[0] for name in queries(cohort)) == dict.fromkeys(CLASSES, 2)
    assert queries(cohort) == queries(kather100k_cohort(root, queries_per_class=2, is_complete=False))
    others = [queries(kather100k_cohort(root, 2, seed, is_complete=False)) for seed in range(1, 5)]
    assert any(other != queries(cohort) for other in others)
    assert first_image(cohort).shape == (8, 8, 3)


def test_kather100k_in_part_is_refused_unless_that_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="27 images were found, 100000 are published"):
        kather100k_cohort(write_kather100k(tmp_path))
    with pytest.raises(CohortError, match=r"no TIFF in it; data\.root needs the folder that holds ADI"):
        kather100k_cohort(tmp_path / "ADI", is_complete=False)


def test_kimia_has_a_class_per_scan_and_its_first_patch_first(tmp_path: Path) -> None:
    cohort = kimia_path24c_cohort(write_kimia(tmp_path, 3, 2), is_complete=False)
    table = cohort.table
    assert Counter(table["split"]) == {"train": 72, "test": 48}
    tested = table[table["split"] == "test"]
    assert tuple(tested["scan"].unique()) == SCANS
    assert tested["slide_id"].tolist()[:4] == ["test_s0_9", "test_s0_10", "test_s1_9", "test_s1_10"]
    assert (table["patient_id"] == table["scan"]).all()


def test_kimia_in_part_or_of_other_sides_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_kimia(tmp_path)
    with pytest.raises(CohortError, match="48 train patches were found, 22591 are published"):
        kimia_path24c_cohort(root)
    monkeypatch.setattr("src.data.cohorts.kimia_path24c.N_PATCHES", {"train": 48, "test": 48})
    with pytest.raises(CohortError, match="40 x 40 px, test patches have 1000 x 1000"):
        kimia_path24c_cohort(root)
    with pytest.raises(CohortError, match="s0: no patch in it"):
        kimia_path24c_cohort(root / "train")


def test_nucls_takes_the_class_of_most_nuclei_and_the_first_met_of_equals(tmp_path: Path) -> None:
    fields = {
        "TCGA-A1-A0SP-DX1_id-1_left-7_top-5_bottom-6_right-9": ["lymphocyte", "tumor_nonMitotic", "tumor_nonMitotic"],
        "TCGA-A1-A0SP-DX1_id-2": ["plasma_cell", "lymphocyte", "lymphocyte", "plasma_cell"],
        "TCGA-A2-A0D0-DX1_id-3": [],
    }
    cohort = nucls_cohort(write_nucls(tmp_path, fields))
    assert cohort.labels().dropna().tolist() == ["tumor_nonMitotic", "plasma_cell"]
    assert [record.patient_id for record in cohort.records()] == ["TCGA-A1-A0SP"] * 2 + ["TCGA-A2-A0D0"]
    assert {record.mpp for record in cohort.records()} == {0.2}
    assert first_image(cohort).shape == (9, 11, 3)


def test_nucls_without_its_column_or_its_tables_says_so(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"data\.root needs the folder with csv/ and rgb/"):
        nucls_cohort(tmp_path)
    root = write_nucls(tmp_path, {"a": ["x"]})
    (root / "csv" / "a.csv").write_text("xmin,ymin\n1,2\n")
    with pytest.raises(CohortError, match=r"a\.csv: no table with column main_classification"):
        nucls_cohort(root)


def official_majority(mask: np.ndarray) -> int | None:
    """The rule nucleus by nucleus: a map of nuclei and one of types, both overwritten by later channels."""
    owner = np.zeros(mask.shape[:2], int)
    nuclei = np.zeros(mask.shape[:2], int)
    for channel in range(5):
        is_nucleus = mask[..., channel] > 0
        owner[is_nucleus] = channel + 1
        nuclei[is_nucleus] = 1000 * channel + mask[..., channel][is_nucleus]
    types = [int(np.bincount(owner[nuclei == number]).argmax()) - 1 for number in np.unique(nuclei[nuclei > 0])]
    return min(set(types), key=lambda channel: (-types.count(channel), channel)) if types else None


def test_pannuke_counts_nuclei_as_the_rule_nucleus_by_nucleus_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.integers(0, 6, (6, 6, 6)) * (rng.random((6, 6, 6)) < 0.15)
        counts = count_nuclei(mask.astype(float))
        expected = official_majority(mask)
        assert (int(counts.argmax()) if counts.any() else None) == expected


def test_pannuke_patches_are_labelled_with_the_type_of_most_nuclei(tmp_path: Path) -> None:
    root = write_pannuke(tmp_path / "Fold 1", [{0: 1, 4: 3}, {}, {1: 2, 3: 2, 5: 9}])
    cohort = pannuke_cohort(root, tmp_path / "png", is_complete=False)
    assert cohort.labels().tolist()[::2] == ["epithelial", "inflammatory"]
    assert cohort.labels().isna().tolist() == [False, True, False]
    assert cohort.labels("tissue").tolist() == ["Breast", "Colon", "Breast"]
    assert [record.slide_id for record in cohort.records()] == ["fold1_0000", "fold1_0001", "fold1_0002"]
    assert first_image(cohort).tolist() == np.full((16, 16, 3), 1).tolist()


def test_pannuke_in_part_or_of_other_shapes_is_refused(tmp_path: Path) -> None:
    root = write_pannuke(tmp_path / "fold", [{0: 1}])
    with pytest.raises(CohortError, match="1 patches of fold 1 were found, 2656 are published"):
        pannuke_cohort(root, tmp_path / "png")
    with pytest.raises(CohortError, match=r"data\.fold is 4"):
        pannuke_cohort(root, tmp_path / "png", fold=4)
    with pytest.raises(CohortError, match=r"fold2.images\.npy: no such file"):
        pannuke_cohort(root, tmp_path / "png", fold=2)
    np.save(root / "masks" / "fold1" / "masks.npy", np.zeros((1, 16, 16, 5)))
    with pytest.raises(CohortError, match="do not fit; get them again"):
        pannuke_cohort(root, tmp_path / "png", is_complete=False)


def quarters(*codes: int, side_px: int = 8) -> np.ndarray:
    """A region of four crops, left to right, then the next row."""
    grid = np.array(codes, np.uint8).reshape(2, 2)
    return np.kron(grid, np.ones((side_px, side_px), np.uint8))


def make_bcss(root: Path, folder: Path, **more: Any) -> Cohort:
    settings = {"crop_px": 8, "image_px": 4, "min_share": 0.8, "min_crops": 0, "is_complete": False}
    return bcss_cohort(root, folder, **{**settings, **more})


def test_bcss_crops_are_what_one_class_fills(tmp_path: Path) -> None:
    mask = quarters(TUMOR, STROMA, 0, TUMOR)
    mask[8:, 8:][:2] = STROMA  # a quarter of the last crop
    root = write_bcss(tmp_path / "bcss", {"TCGA-A1-A0SK-DX1_xmin1_ymin2_MPP-0.2500": mask})
    cohort = make_bcss(root, tmp_path / "png")
    assert cohort.labels().to_dict() == {
        "TCGA-A1-A0SK-DX1_xmin1_ymin2_MPP-0.2500_x0_y0": "tumor",
        "TCGA-A1-A0SK-DX1_xmin1_ymin2_MPP-0.2500_x8_y0": "stroma",
    }
    assert next(cohort.records()).patient_id == "TCGA-A1-A0SK"
    assert next(cohort.records()).mpp == 0.5
    assert first_image(cohort).tolist() == np.full((4, 4, 3), [10 * TUMOR, 0, 0]).tolist()
    assert len(make_bcss(root, tmp_path / "png", min_share=0.5)) == 3


def test_bcss_classes_need_more_crops_than_asked(tmp_path: Path) -> None:
    root = write_bcss(tmp_path / "bcss", {"r": quarters(TUMOR, TUMOR, TUMOR, STROMA)}, image_folder="images")
    assert set(make_bcss(root, tmp_path / "png", min_crops=1).labels()) == {"tumor"}
    with pytest.raises(CohortError, match="none of 4 crops is of a class with more than 3 of them"):
        make_bcss(root, tmp_path / "png", min_crops=3)


def test_bcss_in_part_without_masks_or_with_other_sizes_is_refused(tmp_path: Path) -> None:
    root = write_bcss(tmp_path / "bcss", {"r": quarters(1, 1, 1, 1)})
    with pytest.raises(CohortError, match="1 regions were found, 151 are published"):
        make_bcss(root, tmp_path / "png", is_complete=True)
    with pytest.raises(CohortError, match="expected sides of at least 1 px"):
        make_bcss(root, tmp_path / "png", min_share=1.0)
    PIL.Image.fromarray(np.zeros((8, 16, 3), np.uint8)).save(root / "rgbs_colorNormalized" / "r.png")
    with pytest.raises(CohortError, match="the image of r is smaller than its mask"):
        make_bcss(root, tmp_path / "png")
    (root / "masks" / "r.png").unlink()
    with pytest.raises(CohortError, match="1 images in rgbs_colorNormalized or images and 0 masks"):
        make_bcss(root, tmp_path / "png")


def test_images_are_cut_once_and_again_when_their_source_changes(tmp_path: Path) -> None:
    root = write_bcss(tmp_path / "bcss", {"r": quarters(1, 1, 2, 2)})
    cohort = make_bcss(root, tmp_path / "png")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "png").iterdir()}
    assert make_bcss(root, tmp_path / "png").digest() == cohort.digest()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "png").iterdir()} == before
    PIL.Image.fromarray(quarters(2, 1, 2, 2)).save(root / "masks" / "r.png")
    assert make_bcss(root, tmp_path / "png").labels().tolist() == ["stroma", "tumor", "stroma", "stroma"]


def test_a_folder_of_other_files_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CohortError, match=r"holds other files; set data\.images_dir"):
        cut_once(tmp_path, {"version": 1}, lambda folder: pytest.fail("nothing may be cut"))
    assert (tmp_path / "mine.txt").read_text() == "mine"
