"""Tables of numbers and of text as biology exchanges them: tab-separated (`.csv`: commas), plain or gzipped.

Whatever cannot be used is a CohortError with file, line and column. Lines are counted from 1, the header and leading
`#` comments included.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import pandas as pd

from src.errors import CohortError

LINE = "line"
"""Name of the index of a text table: the line that a row stands in."""


def read_text_table(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns as text, empty cells NaN, indexed by line.

    Raises:
        CohortError: the file is missing or no table, or a column is missing.
    """
    header, n_above = _header(file)
    for column in columns:
        if column not in header:
            raise CohortError(f"{file}: column {column} is missing; the table has {shortened(header)}")
    with _as_cohort_errors(file):
        rows = pd.read_csv(
            file, sep=_separator(file), skiprows=n_above, usecols=list(columns), dtype=str, skip_blank_lines=False
        )
    return _by_line(rows, n_above).map(lambda cell: cell.strip() if isinstance(cell, str) else cell)


def read_numbers(file: Path, key: str | None = None, prefix: str = "") -> pd.DataFrame:
    """A table of float64 numbers indexed by its text column; empty cells are NaN.

    Args:
        file: genes in rows.
        key: name of the column of genes; by default the first one, whether or not the header names it.
        prefix: only columns that start with it are read, the others are left out.

    Raises:
        CohortError: the file is missing or no table, `key` or every number column is missing, or a cell is no number.
    """
    header, n_above = _header(file)
    names, key = _named_columns(file, header, n_above, key)
    wanted = [name for name in names if name != key and name.startswith(prefix)]
    if not wanted:
        raise CohortError(f"{file}: no column of numbers starts with {prefix!r}; the table has {shortened(names)}")
    rows = _read_float(file, names, [key, *wanted], n_above)
    for line in rows.index[rows[key].isna()]:
        raise CohortError(f"{file}: line {line}: column {key} is empty; expected a gene symbol")
    if rows.empty:
        raise CohortError(f"{file}: the table has no rows; expected one per gene")
    return rows.set_index(key)


def column_names(file: Path) -> list[str]:
    """Cells of the header.

    Raises:
        CohortError: the file is missing, is no table, or names a column twice.
    """
    return _header(file)[0]


def lines_of(file: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file without their ends, numbered from 1.

    Raises:
        CohortError: the file is missing or no text.
    """
    with _as_cohort_errors(file), _open(file) as stream:
        for number, line in enumerate(stream, start=1):
            yield number, line.rstrip("\r\n")


def shortened(names: Iterable[str], n: int = 8) -> str:
    """The first names of many, for a message."""
    names = list(names)
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")


def _header(file: Path) -> tuple[list[str], int]:
    """Cells of the first line that is no comment, and the number of lines above it."""
    for number, line in lines_of(file):
        if not line.startswith("#"):
            cells = next(csv.reader([line.removeprefix("\ufeff")], delimiter=_separator(file)), [])
            return _without_repeats(file, [cell.strip() for cell in cells]), number - 1
    raise CohortError(f"{file}: the table is empty; expected a header and one line per row")


def _without_repeats(file: Path, header: list[str]) -> list[str]:
    repeated = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if repeated:
        raise CohortError(f"{file}: column {repeated[0]!r} appears {header.count(repeated[0])} times in the header")
    return header


def _named_columns(file: Path, header: list[str], n_above: int, key: str | None) -> tuple[list[str], str]:
    """Names of all columns and of the column of genes; R writes a header without a name for the row names."""
    n_cells = next((line.count(_separator(file)) + 1 for n, line in lines_of(file) if n == n_above + 2), len(header))
    if n_cells not in (len(header), len(header) + 1):
        raise CohortError(f"{file}: line {n_above + 2} has {n_cells} cells, the header has {len(header)}")
    names = ["gene", *header] if n_cells == len(header) + 1 else [header[0] or "gene", *header[1:]]
    if key is not None and key not in names:
        raise CohortError(f"{file}: column {key} is missing; the table has {shortened(names)}")
    return names, key or names[0]


def _read_float(file: Path, names: list[str], columns: list[str], n_above: int) -> pd.DataFrame:
    with _as_cohort_errors(file):
        try:
            return _read(file, names, columns[1:], n_above)[columns]
        except ValueError as error:
            if isinstance(error, pd.errors.ParserError):  # a line with too many cells
                raise
            text = _read(file, names, [], n_above)
    for column in columns[1:]:
        is_bad = pd.to_numeric(text[column], errors="coerce").isna() & text[column].notna()
        for line, cell in text.loc[is_bad, column].items():
            raise CohortError(f"{file}: line {line}: column {column} is {cell!r}; expected a number")
    raise CohortError(f"{file}: not a table of numbers; write it as text with one line per gene")


def _read(file: Path, names: list[str], numbers: list[str], n_above: int) -> pd.DataFrame:
    """Every column, indexed by line; pandas counts the cells of a line only when it reads all of them."""
    dtype = {**dict.fromkeys(names, str), **dict.fromkeys(numbers, np.float64)}
    rows = pd.read_csv(
        file,
        sep=_separator(file),
        skiprows=n_above + 1,
        header=None,
        names=names,
        dtype=dtype,
        skip_blank_lines=False,
    )
    return _by_line(rows, n_above)


def _by_line(rows: pd.DataFrame, n_above: int) -> pd.DataFrame:
    rows.index = pd.RangeIndex(n_above + 2, n_above + 2 + len(rows), name=LINE)
    return rows.dropna(how="all")


def _separator(file: Path) -> str:
    return "," if file.name.removesuffix(".gz").endswith(".csv") else "\t"


def _open(file: Path) -> TextIOWrapper:
    if file.suffix == ".gz":
        return TextIOWrapper(gzip.GzipFile(file), encoding="utf-8")
    return file.open(encoding="utf-8")


@contextmanager
def _as_cohort_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise CohortError(f"{file}: no such file; check the paths") from error
    except (OSError, EOFError, UnicodeError, zlib.error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CohortError(f"{file}: not a readable table ({reason})") from error
