from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from src.errors import ConfigError, HistoseekError
from src.eval.reader_study.sheets import check_aspects, read_sheet, write_blank_sheets

ITEMS = ["s-001A", "s-001B", "s-002A"]
ASPECTS = ["structure", "cell type"]
FILLED = pd.DataFrame({"item": ITEMS, "structure": ["1", "5", "3"], "cell type": ["2", "2", "4"]})


def filled(path: Path, table: pd.DataFrame = FILLED, separator: str = ",") -> Path:
    if path.suffix == ".xlsx":
        table.to_excel(path, index=False)
    else:
        table.to_csv(path, index=False, sep=separator)
    return path


@pytest.mark.parametrize(("name", "separator"), [("anna.csv", ","), ("anna.csv", ";"), ("anna.xlsx", "")])
def test_a_sheet_reads_the_same_from_every_format(tmp_path: Path, name: str, separator: str) -> None:
    sheet = read_sheet(filled(tmp_path / name, separator=separator), ITEMS, ASPECTS)
    assert (sheet.reader, sheet.faults, sheet.gaps) == ("anna", (), ())
    np.testing.assert_array_equal(sheet.scores.to_numpy(), [[1, 2], [5, 2], [3, 4]])


def test_numbers_that_excel_made_decimal_are_scores(tmp_path: Path) -> None:
    table = FILLED.assign(structure=[1.0, 5.0, np.nan])
    scores = read_sheet(filled(tmp_path / "a.xlsx", table), ITEMS, ASPECTS).scores["structure"]
    np.testing.assert_array_equal(scores, [1, 5, np.nan])


@pytest.mark.parametrize("cell", ["0", "6", "3.5", "-1", "good", "nan%"])
def test_what_is_no_score_is_named_by_file_and_row(tmp_path: Path, cell: str) -> None:
    path = filled(tmp_path / "a.csv", FILLED.assign(structure=["1", cell, "3"]))
    assert read_sheet(path, ITEMS, ASPECTS).faults == (
        f"{path}: row 3: structure is '{cell}'; expected a whole number, 1 to 5",
    )


def test_unknown_and_repeated_items_are_named_by_file_and_row(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.csv", FILLED.assign(item=["s-001A", "s-001A", "t-9"]))
    assert read_sheet(path, ITEMS, ASPECTS).faults == (
        f"{path}: row 4: item 't-9' is not of this study",
        f"{path}: row 3: item s-001A stands twice; keep one row",
    )


def test_missing_scores_and_rows_are_gaps_not_faults(tmp_path: Path) -> None:
    path = filled(tmp_path / "a.csv", FILLED.assign(structure=["1", "", "3"])[:2])
    sheet = read_sheet(path, ITEMS, ASPECTS)
    assert sheet.faults == ()
    assert sheet.gaps == (
        f"{path}: row 3: structure of item s-001B has no score",
        f"{path}: no row: structure of item s-002A has no score",
        f"{path}: no row: cell type of item s-002A has no score",
    )
    assert sheet.scores.isna().to_numpy().sum() == 3


def test_rows_are_counted_as_in_the_file_past_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item,structure\ns-001A,1\n\ns-001B,9\n")
    assert "row 4: structure is '9'" in read_sheet(path, ITEMS[:2], ["structure"]).faults[0]


def test_a_file_that_is_no_sheet_is_refused_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "a.xlsx"
    broken.write_bytes(b"not a workbook")
    other = filled(tmp_path / "b.csv", FILLED.drop(columns="structure"))
    for path, said in ((broken, "not a readable"), (other, "'structure' is missing"), (tmp_path / "c.csv", "no such")):
        with pytest.raises(HistoseekError, match=said) as raised:
            read_sheet(path, ITEMS, ASPECTS)
        assert "\n" not in str(raised.value)


def test_blank_sheets_hold_items_and_empty_aspects_and_nothing_else(tmp_path: Path) -> None:
    items = pd.DataFrame(
        {"item": ITEMS, "query": [1, 1, 2], "answer": list("ABA"), "method": "secret", "query_id": "q"}
    )
    write_blank_sheets(tmp_path, items, ASPECTS)
    headings = ["item", "query", "answer", *ASPECTS]
    assert pd.read_csv(tmp_path / "sheet.csv").columns.tolist() == headings
    page = openpyxl.load_workbook(tmp_path / "sheet.xlsx")["scores"]
    assert [cell.value for cell in page[1]] == headings
    assert [str(rule.sqref) for rule in page.data_validations.dataValidation] == ["D2:D4 E2:E4"]
    sheet = read_sheet(tmp_path / "sheet.xlsx", ITEMS, ASPECTS)
    assert sheet.faults == ()
    assert len(sheet.gaps) == 6


@pytest.mark.parametrize("aspects", [[], [""], ["item"], ["a", "b", "a"]])
def test_aspects_that_cannot_head_a_column_are_refused(aspects: list[str]) -> None:
    with pytest.raises(ConfigError):
        check_aspects(aspects)
