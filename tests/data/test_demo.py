from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest

from src.data.cohort import Cohort
from src.data.cohorts.demo import demo_cohort
from src.data.demo import generate
from src.data.demo.omics import PLANTED_GENES, PLANTED_REGRESSIONS, draw_omics
from src.data.demo.patients import FACTORS, TISSUES, draw_patients
from src.data.targets import GENE_TARGETS, REGRESSION_TARGETS, TARGETS
from src.errors import CohortError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return demo_cohort(tmp_path_factory.mktemp("demo") / "demo", seed=0, n_patients=4, width_um=600, height_um=450)


def _tiny(root: Path, seed: int = 0, n_workers: int = 1, n_patients: int = 1) -> Cohort:
    return demo_cohort(root, seed, n_patients, width_um=256, height_um=200, n_workers=n_workers)


def _contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_patient_has_one_class_and_a_slide_of_each_magnification(cohort: Cohort) -> None:
    rows = cohort.table.groupby("patient_id")
    assert set(rows["tissue"].nunique()) == {1}
    assert {tuple(sorted(group)) for _, group in rows["magnification"]} == {("20x", "40x")}
    assert set(cohort.labels()) == set(TISSUES)


def test_openslide_reads_the_pyramid_and_its_mpp(cohort: Cohort) -> None:
    for record in cohort.records():
        with openslide.OpenSlide(record.path) as slide:
            mpp = 0.25 if record.slide_id.endswith("A") else 0.5
            assert record.mpp is None
            assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(mpp, rel=1e-6)
            assert slide.dimensions == (600 / mpp, 450 / mpp)
            assert slide.level_count == 3


def test_tissue_lies_on_glass_and_fills_much_of_the_slide(cohort: Cohort) -> None:
    for record in cohort.records():
        with openslide.OpenSlide(record.path) as slide:
            pixels = np.asarray(slide.get_thumbnail((200, 150)).convert("RGB")).astype(int)
        is_stained = np.ptp(pixels, axis=2) > 12
        assert 0.3 < is_stained.mean() < 0.9
        assert pixels[:4, :4].min() > 230


def test_the_cohort_carries_the_66_targets(cohort: Cohort) -> None:
    assert set(TARGETS) < set(cohort.label_columns)
    assert set(cohort.labels("TP53_cls")) == {"0", "1"}
    assert cohort.labels("HALLMARK_HYPOXIA_sum").astype(float).notna().all()


def test_the_folder_says_that_it_is_synthetic_and_what_was_planted(cohort: Cohort) -> None:
    text = (cohort.root / "README.txt").read_text()
    assert "SYNTHETIC" in text
    assert all(target in text for target in (*PLANTED_GENES, *PLANTED_REGRESSIONS))


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    one, two = (_tiny(tmp_path / f"{n_workers} workers", 0, n_workers).root for n_workers in (1, 2))
    other = _tiny(tmp_path / "other seed", 1).root
    assert _contents(one) == _contents(two)
    for file in (f"slides/DEMO-01-{scan}.tif" for scan in "AB"):
        assert _contents(one)[file] != _contents(other)[file]


def test_a_finished_cohort_is_reused_and_another_seed_replaces_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        first = _tiny(tmp_path / "demo")
        written = (tmp_path / "demo/demo.json").stat().st_mtime_ns
        assert _tiny(tmp_path / "demo").digest() == first.digest()
        assert (tmp_path / "demo/demo.json").stat().st_mtime_ns == written
        _tiny(tmp_path / "demo", seed=1)
    assert json.loads((tmp_path / "demo/demo.json").read_text())["seed"] == 1
    assert len([record for record in caplog.records if "SYNTHETIC" in record.getMessage()]) == 2


def test_a_killed_run_leaves_nothing_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generate, "draw_omics", die)
        with pytest.raises(KeyboardInterrupt):
            _tiny(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
    assert len(_tiny(tmp_path / "demo")) == 2
    assert not list(tmp_path.glob(".demo.partial"))


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CohortError, match="holds files, but no demo cohort"):
        _tiny(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"n_patients": 0}, {"n_workers": 0}, {"width_um": 100.0}])
def test_values_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(CohortError, match="expected at least"):
        demo_cohort(tmp_path / "demo", **wrong)


def test_the_smallest_slide_of_every_class_can_be_drawn(tmp_path: Path) -> None:
    cohort = demo_cohort(tmp_path / "demo", seed=5, n_patients=4, width_um=200, height_um=200)
    assert all(record.path.is_file() for record in cohort.records())


def test_twelve_patients_share_the_classes_evenly_and_cover_every_factor() -> None:
    patients = draw_patients(seed=3, n_patients=12)
    assert set(Counter(patient.tissue for patient in patients).values()) == {3}
    for factor in FACTORS:
        assert sorted(getattr(patient, factor) for patient in patients) == pytest.approx((np.arange(12) + 0.5) / 12)


def test_the_planted_targets_follow_their_factor_and_the_others_do_not() -> None:
    patients = draw_patients(seed=0, n_patients=400)
    omics = draw_omics(patients, seed=0)
    factors = np.array([[getattr(patient, factor) for factor in FACTORS] for patient in patients])
    for target in REGRESSION_TARGETS:
        correlations = np.corrcoef(factors.T, omics[target])[-1, :-1]
        if target in PLANTED_REGRESSIONS:
            assert correlations[FACTORS.index(PLANTED_REGRESSIONS[target])] > 0.95
        else:
            assert np.abs(correlations).max() < 0.2
    assert list(omics.columns) == ["patient_id", *TARGETS]


def test_genes_have_the_classes_of_here_and_two_of_them_follow_the_picture() -> None:
    patients = draw_patients(seed=0, n_patients=400)
    omics = draw_omics(patients, seed=0)
    for gene in GENE_TARGETS:
        assert set(omics[gene]) == ({0, 1} if gene in PLANTED_GENES else {0, 1, 2})
    assert omics["TP53_cls"].tolist() == [int(patient.pleomorphism > 0.5) for patient in patients]
    assert omics["KRAS_cls"].tolist() == [int(patient.tissue == "glandular") for patient in patients]
