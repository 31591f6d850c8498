from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.data.cohort import Cohort, SlideRecord
from src.errors import CohortError


def _table(root: Path, **columns: list[object]) -> pd.DataFrame:
    rows = {
        "slide_id": ["s1", "s2", "s3"],
        "path": [str(root / f"{name}.tif") for name in ("a", "b", "c")],
        "patient_id": ["p1", "p1", "p2"],
        "mpp": [0.5, math.nan, 0.25],
        "site": ["lung", " ", "liver"],
    }
    return pd.DataFrame({**rows, **columns})


def _cohort(
    root: Path, label: str | None = "site", default_mpp: float | None = None, **columns: list[object]
) -> Cohort:
    root.mkdir(exist_ok=True)
    (root / "a.tif").touch()
    return Cohort("study", "slides", _table(root, **columns), root, label, default_mpp)


def test_records_follow_the_table_and_a_gap_in_mpp_is_none(tmp_path: Path) -> None:
    records = list(_cohort(tmp_path).records())
    assert records[0] == SlideRecord("s1", tmp_path / "a.tif", "p1", 0.5)
    assert [record.mpp for record in records] == [0.5, None, 0.25]


def test_a_missing_image_is_no_fault_of_the_cohort(tmp_path: Path) -> None:
    assert len(_cohort(tmp_path)) == 3


def test_a_cohort_without_any_image_names_its_root(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=f"none of the 3 images exists under {tmp_path}"):
        Cohort("study", "slides", _table(tmp_path), tmp_path)


def test_labels_are_text_by_slide_and_empty_ones_are_nan(tmp_path: Path) -> None:
    labels = _cohort(tmp_path).labels()
    assert labels.name == "site"
    assert labels["s1"] == "lung"
    assert math.isnan(labels["s2"])


def test_whole_numbers_in_a_column_with_gaps_stay_whole(tmp_path: Path) -> None:
    labels = _cohort(tmp_path, gene=[1.0, math.nan, 0.25]).labels("gene")
    assert labels.dropna().tolist() == ["1", "0.25"]


@pytest.mark.parametrize("asked_by", ["labels", "default"])
def test_an_unknown_label_names_the_nearest_and_lists_all(tmp_path: Path, asked_by: str) -> None:
    with pytest.raises(CohortError, match=r"no label column 'sites'; did you mean 'site'\? It has \['site', 'grade'\]"):
        if asked_by == "labels":
            _cohort(tmp_path, grade=["1", "2", "3"]).labels("sites")
        else:
            _cohort(tmp_path, label="sites", grade=["1", "2", "3"])


def test_labels_need_a_column_when_there_is_no_default(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no label column was named"):
        _cohort(tmp_path, label=None).labels()


def test_a_required_column_is_no_label(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no label column 'patient_id'"):
        _cohort(tmp_path).labels("patient_id")


def test_the_digest_does_not_depend_on_the_root(tmp_path: Path) -> None:
    digest = _cohort(tmp_path / "here").digest()
    assert digest == _cohort(tmp_path / "there").digest()
    assert len(digest) == 12


def test_the_digest_depends_on_content_and_default_mpp_but_not_on_the_chosen_label(tmp_path: Path) -> None:
    digest = _cohort(tmp_path).digest()
    assert digest != _cohort(tmp_path, site=["lung", "", "brain"]).digest()
    assert digest != _cohort(tmp_path, default_mpp=0.5).digest()
    assert digest == _cohort(tmp_path, label=None).digest()


def test_a_slide_id_given_twice_names_both_rows_and_files(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"row 1 \(.*a\.tif\) and row 3 \(.*c\.tif\): both have slide_id 's1'"):
        _cohort(tmp_path, slide_id=["s1", "s2", "s1"])


@pytest.mark.parametrize(
    "slide_id", ["../s1", "a/b", "a\\b", "..", ".hidden", "a..b", "=cmd()", "a\nb", "a\0b", "x" * 201]
)
def test_a_slide_id_that_cannot_name_a_file_is_refused(tmp_path: Path, slide_id: str) -> None:
    with pytest.raises(CohortError, match=r"row 2: slide_id .* cannot name a file"):
        _cohort(tmp_path, slide_id=["s1", slide_id, "s3"])


@pytest.mark.parametrize("slide_id", ["TCGA-A1-01.2", "breast TDLU-0", "スライド_1", "1032440-1.1"])
def test_letters_digits_dots_dashes_and_spaces_make_a_slide_id(tmp_path: Path, slide_id: str) -> None:
    records = _cohort(tmp_path, slide_id=[slide_id, "s2", "s3"]).records()
    assert next(records).slide_id == slide_id


@pytest.mark.parametrize("column", ["slide_id", "path", "patient_id"])
@pytest.mark.parametrize("empty", ["", "  ", math.nan, 7])
def test_ids_and_paths_that_are_no_text_are_refused(tmp_path: Path, column: str, empty: object) -> None:
    table = _table(tmp_path).assign(**{column: pd.Series(["x", empty, "z"], dtype=object)})
    with pytest.raises(CohortError, match=f"row 2: {column} is "):
        Cohort("study", "slides", table, tmp_path)


@pytest.mark.parametrize("mpp", ["half", None, True])
def test_an_mpp_that_is_no_number_is_refused(tmp_path: Path, mpp: object) -> None:
    with pytest.raises(CohortError, match="row 2: mpp is "):
        Cohort("study", "slides", _with_object_mpp(_table(tmp_path), mpp), tmp_path)


def _with_object_mpp(table: pd.DataFrame, mpp: object) -> pd.DataFrame:
    return table.assign(mpp=pd.Series([0.5, mpp, 0.5], dtype=object))


@pytest.mark.parametrize("default_mpp", [0.0, 0.049, math.nan, 20.1])
def test_an_implausible_default_mpp_is_refused(tmp_path: Path, default_mpp: float) -> None:
    with pytest.raises(CohortError, match="default_mpp is "):
        _cohort(tmp_path, default_mpp=default_mpp)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="column patient_id is missing"):
        Cohort("study", "slides", _table(tmp_path).drop(columns="patient_id"), tmp_path)


def test_a_cohort_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="the table has no row"):
        Cohort("study", "slides", _table(tmp_path).iloc[:0], tmp_path)


def test_whole_number_mpp_columns_are_numbers(tmp_path: Path) -> None:
    table = _table(tmp_path).assign(mpp=np.array([1, 1, 2]))
    (tmp_path / "a.tif").touch()
    assert [record.mpp for record in Cohort("study", "slides", table, tmp_path).records()] == [1.0, 1.0, 2.0]
