from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import PIL.Image
import pytest

from src.data.cohort import Cohort
from src.data.cohorts.table import table_cohort
from src.data.demo.reports import DemoReports
from src.data.reports import NoReports, ReportColumns, ReportTable
from src.errors import CohortError, ConfigError

LEVELS = ("Cytotoxic_T_Lymphocyte", "HALLMARK_EPITHELIAL_MESENCHYMAL_TRANSITION_sum", "HALLMARK_E2F_TARGETS_sum")


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Three patients with two slides each."""
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    patients = ["p1", "p1", "p2", "p2", "p3", "p3"]
    table = pd.DataFrame({"path": "x.png", "slide_id": [f"s{i}" for i in range(6)], "patient_id": patients, "mpp": 0.5})
    table.to_csv(tmp_path / "slides.csv", index=False)
    return table_cohort(tmp_path / "slides.csv")


def written(folder: Path, **columns: list[object]) -> str:
    pd.DataFrame(columns).to_csv(folder / "reports.csv", index=False)
    return str(folder / "reports.csv")


def test_slides_of_a_patient_share_its_report_and_those_without_are_left_out(cohort: Cohort, tmp_path: Path) -> None:
    table = written(tmp_path, patient_id=["p1", "p3", "p9"], report=["first", " ", "nobody"])
    assert ReportTable(table, "patient_id", "report").read(cohort).to_dict() == {"s0": "first", "s1": "first"}


def test_a_slide_has_its_own_report(cohort: Cohort, tmp_path: Path) -> None:
    table = written(tmp_path, slide_id=["s0", "s1"], text=["a", "b"])
    assert ReportTable(table, "slide_id", "text").read(cohort).to_dict() == {"s0": "a", "s1": "b"}


def test_no_table_is_said_in_one_line(cohort: Cohort) -> None:
    with pytest.raises(ConfigError, match=r"^reports.table is null; name a CSV[^\n]*$"):
        ReportTable(None, "patient_id", "report").read(cohort)


@pytest.mark.parametrize(
    ("columns", "key", "said"),
    [
        ({"patient_id": ["p1"], "text": ["a"]}, "patient_id", "no column 'report'; it has patient_id, text"),
        ({"patient_id": ["p1", "p1"], "report": ["a", "b"]}, "patient_id", "p1 has two reports"),
        ({"patient_id": ["p7"], "report": ["a"]}, "patient_id", "none of its 1 reports has the patient_id of a slide"),
        ({"case": ["p1"], "report": ["a"]}, "case", "no column 'case'; set reports.key"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    cohort: Cohort, tmp_path: Path, columns: dict[str, list[object]], key: str, said: str
) -> None:
    with pytest.raises(CohortError, match=said):
        ReportTable(written(tmp_path, **columns), key, "report").read(cohort)


def test_columns_of_the_cohort_are_joined_to_sentences(cohort: Cohort) -> None:
    said = {
        "diagnosis": ["a tumour", "b.", None, None, None, None],
        "key_point": ["KP:  nests", None, " ", "c", None, None],
    }
    told = replace(cohort, table=cohort.table.join(pd.DataFrame(said, index=cohort.table.index)))
    texts = {"s0": "a tumour. KP: nests.", "s1": "b.", "s3": "c."}
    assert ReportColumns(["diagnosis", "key_point"]).read(told).to_dict() == texts
    with pytest.raises(CohortError, match=r"no column 'diagnosis' for reports; set reports.columns[^\n]*$"):
        ReportColumns(["diagnosis"]).read(cohort)
    assert NoReports().read(cohort).empty


def test_demo_reports_say_the_labels_of_the_patient(cohort: Cohort) -> None:
    tissues, grades = ["glandular", "spindle", "lymphoid"], ["G1", "G2", "G3"]
    labels = {"tissue": [t for t in tissues for _ in range(2)], "grade": [g for g in grades for _ in range(2)]}
    levels = {name: [0.0, 0.0, 1.0, 1.0, 2.0, 2.0] for name in LEVELS}
    demo = replace(cohort, table=cohort.table.assign(**labels, **levels))
    reports = DemoReports(seed=0).read(demo)
    assert reports["s0"] == reports["s1"]
    assert "No stromal infiltrate." in reports["s0"]
    assert "Marked fibrosis." in reports["s5"]
    assert "spindle" in reports["s2"].lower()
    assert not reports.equals(DemoReports(seed=1).read(demo))


def test_demo_reports_are_of_the_demo_cohort_only(cohort: Cohort) -> None:
    with pytest.raises(CohortError, match="no column 'tissue'; reports=demo"):
        DemoReports(seed=0).read(cohort)
