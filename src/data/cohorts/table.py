"""A cohort from a CSV or parquet table: one row per slide, paths relative to the table's folder or to `root`."""

from __future__ import annotations

import csv
import logging
import math
from pathlib import Path
from typing import Any

import pandas as pd

from src.data.cohort import Cohort
from src.errors import CohortError
from src.interfaces import CohortKind

log = logging.getLogger(__name__)


def table_cohort(
    table: str | Path,
    root: str | Path | None = None,
    kind: CohortKind = "slides",
    label: str | None = None,
    name: str | None = None,
    default_mpp: float | None = None,
) -> Cohort:
    """A cohort from a table with column `path`; slide_id, patient_id, mpp, split and label columns are optional.

    Args:
        table: a UTF-8 CSV (byte order mark, CRLF and spaces round cells are taken) or a parquet file.
        root: folder that relative paths start from; by default the table's.
        kind: `slides` or `regions`.
        label: label column that is used where none is asked for.
        name: what the cohort is called; by default the table's file name.
        default_mpp: microns per pixel where neither the table nor the file states it.

    Raises:
        CohortError: with the line of the table, for whatever cannot be read or used.
    """
    file = Path(table).expanduser().absolute()
    rows = read_table(file)
    _check_has_path(rows, file)
    folder = Path(root).expanduser().absolute() if root is not None else file.parent
    rows["path"] = [str(folder / path) if isinstance(path, str) else path for path in rows["path"]]
    return Cohort(name or file.stem, kind, _with_defaults(rows, file), folder, label, default_mpp)


def read_table(file: Path) -> pd.DataFrame:
    """Cells of a CSV or parquet file, text stripped, empty cells NaN; the index is named `line` or `row`.

    Raises:
        CohortError: the file is missing, is no table, or has a line of another length than its header.
    """
    if not file.is_file():
        raise CohortError(f"{file}: no such table; set data.table to a CSV or parquet file")
    if file.suffix.lower() == ".parquet":
        return _read_parquet(file)
    return _read_csv(file)


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        rows = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise CohortError(f"{file}: not a parquet table ({str(error).splitlines()[0]})") from error
    rows.columns = [str(column).strip() for column in rows.columns]
    _check_header(list(rows.columns), file)
    return rows.reset_index(drop=True).map(_stripped)


def _read_csv(file: Path) -> pd.DataFrame:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except UnicodeDecodeError as error:
        raise CohortError(f"{file}: not UTF-8 at byte {error.start}; save the table as CSV UTF-8") from error
    except csv.Error as error:
        raise CohortError(f"{file}: line {reader.line_num}: {error}; check the quotes of this line") from error
    lines = [(line, cells) for line, cells in lines if any(cells)]
    if not lines:
        raise CohortError(f"{file}: the table is empty; expected a header and one line per slide")
    return _frame(lines[0][1], lines[1:], file)


def _frame(header: list[str], lines: list[tuple[int, list[str]]], file: Path) -> pd.DataFrame:
    _check_header(header, file)
    for line, cells in lines:
        if len(cells) != len(header):
            raise CohortError(f"{file}: line {line} has {len(cells)} cells, the header has {len(header)}")
    index = pd.Index([line for line, _ in lines], name="line")
    rows = pd.DataFrame([cells for _, cells in lines], index=index, columns=pd.Index(header), dtype=object)
    return rows.map(_stripped)


def _stripped(cell: Any) -> Any:
    if isinstance(cell, str):
        return cell.strip() or math.nan
    return cell


def _check_header(header: list[str], file: Path) -> None:
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise CohortError(f"{file}: column {twice[0]!r} appears {header.count(twice[0])} times in the header")
    if "" in header:
        raise CohortError(f"{file}: column {header.index('') + 1} has no name")


def _check_has_path(rows: pd.DataFrame, file: Path) -> None:
    if "path" not in rows.columns:
        raise CohortError(f"{file}: column path is missing; the table has {list(rows.columns)}")


def _with_defaults(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """`rows` with slide_id = file stem, patient_id = slide_id and mpp = nothing where the columns are missing."""
    if "slide_id" not in rows.columns:
        rows["slide_id"] = [Path(path).stem if isinstance(path, str) else path for path in rows["path"]]
    if "patient_id" not in rows.columns:
        log.warning("%s has no column patient_id: every slide is taken for a patient of its own", file)
        rows["patient_id"] = rows["slide_id"]
    for column in ("slide_id", "patient_id"):
        rows[column] = [_id(cell) for cell in rows[column]]
    mpp = rows["mpp"] if "mpp" in rows.columns else [math.nan] * len(rows)
    rows["mpp"] = pd.Series([_number(cell, line, file) for cell, line in zip(mpp, rows.index, strict=True)], rows.index)
    first = ["slide_id", "path", "patient_id", "mpp"]
    return rows[first + [column for column in rows.columns if column not in first]]


def _id(cell: Any) -> Any:
    """Ids of a parquet table may be whole numbers."""
    return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell


def _number(cell: Any, line: int, file: Path) -> float:
    if not isinstance(cell, str) and pd.isna(cell):
        return math.nan
    try:
        number = float(cell)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise CohortError(f"{file}: line {line}: mpp is {cell!r}; expected microns per pixel, or an empty cell")
    return number
