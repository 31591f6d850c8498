"""The table that a reader fills: blank as CSV and Excel, and read back with every fault named by file and row."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from openpyxl.worksheet.datavalidation import DataValidation

from src.data.files import written_whole
from src.errors import ConfigError, HistoseekError

LOWEST, HIGHEST = 1, 5
_PLACES = ("item", "query", "answer", "place")
_LINE = "row"
_HEADER_ROWS = 1


@dataclass(frozen=True)
class Sheet:
    """What one reader wrote.

    Attributes:
        reader: the file's name without its ending.
        scores: item by aspect, 1 to 5; NaN where the reader wrote nothing.
        faults: what is wrong, one line each; the sheet cannot be used when there are any.
        gaps: what is missing, one line each.
    """

    reader: str
    scores: pd.DataFrame
    faults: tuple[str, ...]
    gaps: tuple[str, ...]


def check_aspects(aspects: Sequence[str]) -> None:
    """Raise ConfigError unless every aspect can be the heading of a column of its own."""
    for aspect in aspects:
        if not aspect.strip() or aspect in _PLACES or aspects.count(aspect) > 1:
            raise ConfigError(
                f"aspect {aspect!r} cannot head a column; give each once, not empty and not one of {', '.join(_PLACES)}"
            )
    if not aspects:
        raise ConfigError("there is no aspect; give at least one, such as overall")


def write_blank_sheets(folder: Path, items: pd.DataFrame, aspects: Sequence[str]) -> None:
    """Write sheet.csv and sheet.xlsx: one row per item, one empty column per aspect, nothing of the methods."""
    blank = items[[column for column in _PLACES if column in items]].assign(**dict.fromkeys(aspects, ""))
    with written_whole(folder / "sheet.csv") as temporary:
        blank.to_csv(temporary, index=False)
    with written_whole(folder / "sheet.xlsx") as temporary, pd.ExcelWriter(temporary, "openpyxl") as book:
        blank.to_excel(book, sheet_name="scores", index=False, freeze_panes=(_HEADER_ROWS, 0))
        page = book.sheets["scores"]
        page.column_dimensions["A"].width = 16
        allowed = DataValidation("whole", operator="between", formula1=str(LOWEST), formula2=str(HIGHEST))
        allowed.error = f"a whole number, {LOWEST} to {HIGHEST}"
        first = len(blank.columns) - len(aspects) + 1
        for cells in page.iter_cols(first, len(blank.columns), _HEADER_ROWS + 1, _HEADER_ROWS + len(blank)):
            allowed.add(f"{cells[0].coordinate}:{cells[-1].coordinate}")
        page.add_data_validation(allowed)


def read_sheet(path: Path, items: Sequence[str], aspects: Sequence[str]) -> Sheet:
    """Read a filled sheet, .csv (commas or semicolons) or .xlsx.

    Args:
        path: the file.
        items: what was to be scored.
        aspects: the columns that hold scores.

    Raises:
        HistoseekError: the file is missing, no table, or lacks a column.
    """
    table = _read(path)
    missing = [column for column in ("item", *aspects) if column not in table]
    if missing:
        raise HistoseekError(
            f"{path}: column {missing[0]!r} is missing, it has {', '.join(map(str, table.columns))}; "
            "fill the sheet of this study and keep its headings"
        )
    table = table[table["item"].notna()]
    table = table.assign(item=table["item"].astype(str).str.strip())
    scores = table[list(aspects)].map(_score)
    faults = _faults(path, table, scores, items)
    by_item = scores.set_index(pd.Index(table["item"])).loc[lambda rows: ~rows.index.duplicated()].reindex(list(items))
    return Sheet(path.stem, by_item, tuple(faults), tuple(_gaps(path, table, by_item)))


def _read(path: Path) -> pd.DataFrame:
    """Every cell as it was written, the index being the file's own row numbers."""
    try:
        if path.suffix.lower() == ".xlsx":
            table = pd.read_excel(path, dtype=object)
        else:
            table = pd.read_csv(path, dtype=str, sep=_separator(path), encoding="utf-8-sig", skip_blank_lines=False)
    except FileNotFoundError as error:
        raise HistoseekError(f"{path}: no such file; give the sheets that the readers filled") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise HistoseekError(f"{path}: not a readable .csv or .xlsx table ({reason}); save it again") from error
    table.index = pd.RangeIndex(_HEADER_ROWS + 1, _HEADER_ROWS + 1 + len(table), name=_LINE)
    return table


def _separator(path: Path) -> str:
    # Excel writes semicolons where the comma is the decimal sign.
    with path.open(encoding="utf-8-sig") as file:
        return ";" if ";" in file.readline() else ","


def _score(cell: Any) -> float:
    """The score, NaN for an empty cell, -1 for anything else."""
    if pd.isna(cell) or not str(cell).strip():
        return math.nan
    try:
        score = float(cell)
    except ValueError:
        return -1.0
    return score if score in range(LOWEST, HIGHEST + 1) else -1.0


def _faults(path: Path, table: pd.DataFrame, scores: pd.DataFrame, items: Sequence[str]) -> list[str]:
    known = set(items)
    unknown = table["item"][~table["item"].isin(known)]
    faults = [f"{path}: row {row}: item {item!r} is not of this study" for row, item in unknown.items()]
    twice = table["item"][table["item"].duplicated()]
    faults += [f"{path}: row {row}: item {item} stands twice; keep one row" for row, item in twice.items()]
    for aspect in scores:
        for row in scores.index[scores[aspect] < 0]:
            cell = table.at[row, aspect]
            faults.append(f"{path}: row {row}: {aspect} is {cell!r}; expected a whole number, {LOWEST} to {HIGHEST}")
    return faults


def _gaps(path: Path, table: pd.DataFrame, scores: pd.DataFrame) -> list[str]:
    row_of = {item: row for row, item in table["item"].items()}
    return [
        f"{path}: {f'row {row_of[item]}' if item in row_of else 'no row'}: {aspect} of item {item} has no score"
        for item, row in scores.iterrows()
        for aspect in scores.columns[row.isna()]
    ]
