from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.data.cohort import Cohort
from src.data.cohorts.consep import consep_cohort
from src.data.cohorts.folder import folder_cohort
from src.data.cohorts.here101 import here101_cohort
from src.data.cohorts.table import table_cohort
from src.errors import CohortError

_CONF = Path(__file__).resolve().parents[2] / "conf" / "data"


def _csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "img").mkdir(exist_ok=True)
    for name in ("a.tif", "b.tif"):
        (folder / "img" / name).touch()
    file = folder / "slides.csv"
    file.write_bytes(text.encode(encoding))
    return file


def test_byte_order_mark_crlf_spaces_and_unicode_are_read(tmp_path: Path) -> None:
    header = "\ufeff slide_id , path,patient_id, mpp ,Diagnose"
    lines = [header, " s1 , img/a.tif ,Ærø, 0.25 , Drüse ", "", "s2,img/b.tif,Ærø,,", ""]
    cohort = table_cohort(_csv(tmp_path, "\r\n".join(lines)), label="Diagnose")
    first, second = cohort.records()
    assert (first.slide_id, first.path, first.patient_id, first.mpp) == ("s1", tmp_path / "img/a.tif", "Ærø", 0.25)
    assert second.mpp is None
    assert cohort.labels().dropna().tolist() == ["Drüse"]
    assert cohort.name == "slides"


def test_a_formula_cell_stays_text(tmp_path: Path) -> None:
    cohort = table_cohort(_csv(tmp_path, "path,patient_id,note\nimg/a.tif,p,=cmd()\n"))
    assert cohort.labels("note").tolist() == ["=cmd()"]


def test_codes_with_leading_zeros_are_not_turned_into_numbers(tmp_path: Path) -> None:
    cohort = table_cohort(_csv(tmp_path, "slide_id,path,patient_id,icd\n001,img/a.tif,007,0010\n"))
    assert next(cohort.records()).patient_id == "007"
    assert cohort.labels("icd")["001"] == "0010"


def test_relative_paths_start_from_root_and_absolute_ones_stay(tmp_path: Path) -> None:
    file = _csv(tmp_path, f"path,patient_id\na.tif,p\n{tmp_path}/img/b.tif,p\n")
    cohort = table_cohort(file, root=tmp_path / "img")
    assert [record.path for record in cohort.records()] == [tmp_path / "img/a.tif", tmp_path / "img/b.tif"]


def test_slide_and_patient_default_to_the_file_name_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        cohort = table_cohort(_csv(tmp_path, "path\nimg/a.tif\nimg/b.tif\n"))
    assert [(r.slide_id, r.patient_id) for r in cohort.records()] == [("a", "a"), ("b", "b")]
    assert len([r for r in caplog.records if "no column patient_id" in r.getMessage()]) == 1


def test_the_same_file_name_in_two_folders_names_both_lines_and_files(tmp_path: Path) -> None:
    file = _csv(tmp_path, "path,patient_id\nimg/a.tif,p\n\nother/a.tif,p\n")
    with pytest.raises(
        CohortError, match=r"line 2 \(.*img/a\.tif\) and line 4 \(.*other/a\.tif\): both have slide_id 'a'"
    ):
        table_cohort(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,patient_id,mpp\nimg/a.tif,p,0.5\nimg/b.tif,p,fine\n", r"line 3: mpp is 'fine'"),
        ("path,patient_id,mpp\nimg/a.tif,p,nan\n", r"line 2: mpp is 'nan'"),
        ("path,patient_id\nimg/a.tif\n", r"line 2 has 1 cells, the header has 2"),
        ("path,patient_id\n,p\n", r"line 2: path is nan"),
        ("path,patient_id\nimg/a.tif,\n", r"line 2: patient_id is nan"),
        ("path,slide_id\nimg/a.tif,../x\n", r"line 2: slide_id '\.\./x' cannot name a file"),
        ('path,note\nimg/a.tif,"open\n', r"line 2: unexpected end of data"),
        ("file,patient_id\nimg/a.tif,p\n", r"column path is missing; the table has \['file', 'patient_id'\]"),
        ("path,site,site\nimg/a.tif,x,y\n", r"column 'site' appears 2 times"),
        ("path,\nimg/a.tif,x\n", r"column 2 has no name"),
        ("", r"the table is empty"),
        ("path,patient_id\n", r"the table has no row"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CohortError, match=message) as caught:
        table_cohort(_csv(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="not UTF-8 at byte"):
        table_cohort(_csv(tmp_path, "path,site\nimg/a.tif,Drüse\n", encoding="latin-1"))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no such table"):
        table_cohort(tmp_path / "none.csv")


def test_parquet_and_csv_give_the_same_cohort(tmp_path: Path) -> None:
    csv = _csv(tmp_path, "slide_id,path,patient_id,mpp,site,gene\n1,img/a.tif,7,0.5,lung,1\n2,img/b.tif,8,,,\n")
    parquet = tmp_path / "slides.parquet"
    pd.read_csv(csv).to_parquet(parquet)
    cohorts = [table_cohort(file, label="site") for file in (csv, parquet)]
    assert list(cohorts[0].records()) == list(cohorts[1].records())
    for column in ("site", "gene"):
        pd.testing.assert_series_equal(cohorts[0].labels(column), cohorts[1].labels(column))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "slides.parquet").write_text("path\n")
    with pytest.raises(CohortError, match="not a parquet table"):
        table_cohort(tmp_path / "slides.parquet")


def test_folders_are_classes(tmp_path: Path) -> None:
    for name in ("lung/s1.svs", "lung/.s1.svs", "lung/notes.txt", "liver/s2.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    cohort = folder_cohort(tmp_path, mpp=0.5)
    assert cohort.labels().to_dict() == {"s2": "liver", "s1": "lung"}
    assert [record.mpp for record in cohort.records()] == [0.5, 0.5]


def test_the_same_name_in_two_classes_names_both_files(tmp_path: Path) -> None:
    for name in ("lung/s1.svs", "liver/s1.svs"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.raises(CohortError, match=r"liver/s1\.svs.*lung/s1\.svs"):
        folder_cohort(tmp_path)


def test_a_folder_without_images_says_what_it_wants(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no image in its sub-folders; expected CLASS/NAME"):
        folder_cohort(tmp_path)


def _here101(root: Path, **columns: list[object]) -> Path:
    manifest = {
        "query": ["10-1", "10-1.1", "breast TDLU-0"],
        "label": ["tumor", "tumor", "normal"],
        "diagnosis": ["HCC", None, None],
        "cell_type": [None, None, "epithelial cells"],
        "site": ["liver", "Liver ", "breast"],
        "cancer_type": ["HCC", "HCC", "normal"],
        "structure": ["sheets", "sheets", "glandular"],
        "cell type": ["mesemnchymal", "mesenchymal, muscle", "epithelial"],
        "cell shape": ["oval+spindal", "oval", "columnar"],
        "cytoplasm": ["clear", None, "dichroic"],
        "scattered large cells": ["no", "no", "yes"],
        "key_point": [None, "KP: x", None],
    }
    pd.DataFrame({**manifest, **columns}).to_excel(root / "manifest.xlsx", index=False)
    (root / "png").mkdir()
    (root / "png" / "10-1.png").touch()
    return root


def test_here101_labels_are_cleaned_and_cases_are_patients(tmp_path: Path) -> None:
    cohort = here101_cohort(_here101(tmp_path))
    assert [record.patient_id for record in cohort.records()] == ["10", "10", "breast TDLU"]
    assert cohort.labels().tolist() == ["liver", "liver", "breast"]
    assert cohort.labels("cell_type").tolist() == ["mesenchymal", "mesenchymal", "epithelial"]
    assert cohort.labels("cell_shape")["10-1"] == "oval+spindle"
    assert cohort.labels("cytoplasm").isna().tolist() == [False, True, False]
    assert cohort.labels("key_point").dropna().tolist() == ["KP: x"]


def test_here101_errors_name_the_line_of_the_manifest(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="line 3: slide_id is nan"):
        here101_cohort(_here101(tmp_path, query=["10-1", None, "x-0"]))


def test_here101_without_manifest_says_what_root_must_hold(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"no such manifest.*png/"):
        here101_cohort(tmp_path)


@pytest.mark.real
def test_the_real_here101_has_the_published_number_of_labels(real_dir: Path) -> None:
    cohort = here101_cohort(real_dir / "here101")
    assert len(cohort) == 51
    assert cohort.table["patient_id"].nunique() == 30
    assert all(record.path.is_file() and record.mpp == 0.5 for record in cohort.records())
    assert _labels_of_two_cases(cohort, "site") == (7, 27)
    assert _labels_of_two_cases(cohort, "structure") == (9, 42)
    assert _labels_of_two_cases(cohort, "cytoplasm") == (6, 47)
    assert set(cohort.labels("cell_type")) == {"epithelial", "germ cell", "lymphocyte", "mesenchymal"}


def _labels_of_two_cases(cohort: Cohort, column: str) -> tuple[int, int]:
    """How many labels occur in two cases or more, and how many images carry one of them."""
    rows = pd.DataFrame({"label": cohort.labels(column).to_numpy(), "case": cohort.table["patient_id"].to_numpy()})
    n_cases = rows.groupby("label")["case"].transform("nunique")
    kept = rows[n_cases >= 2]
    return kept["label"].nunique(), len(kept)


@pytest.mark.real
def test_the_real_consep_has_its_patches_and_types(real_dir: Path) -> None:
    cohort = consep_cohort(real_dir / "consep")
    assert len(cohort) == 432
    assert cohort.table["patient_id"].nunique() == 27
    assert all(record.path.is_file() and record.mpp == 0.25 for record in cohort.records())
    assert set(cohort.labels().dropna()) == {"miscellaneous", "inflammatory", "epithelial", "spindle"}
    assert cohort.labels().isna().sum() == 21


def test_consep_without_its_columns_names_the_first(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("patch,source_image\np1,i1\n")
    with pytest.raises(CohortError, match="column dominant_name is missing"):
        consep_cohort(tmp_path)


def test_the_configs_build_cohorts(tmp_path: Path) -> None:
    file = _csv(tmp_path, "path,patient_id,site\nimg/a.tif,p,lung\n")
    cohort = instantiate(_config("table", table=str(file), label="site"), _convert_="all")
    assert cohort.labels().tolist() == ["lung"]
    cohort = instantiate(_config("folder", root=str(tmp_path)), _convert_="all")
    assert cohort.labels().tolist() == ["img", "img"]
    cohort = instantiate(_config("here101", root=str(_here101(tmp_path))), _convert_="all")
    assert cohort.label == "site"


def _config(name: str, **values: str) -> object:
    return OmegaConf.merge(OmegaConf.load(_CONF / f"{name}.yaml"), values)
