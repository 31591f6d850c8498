"""A cohort is a table: one row per slide, with its file, its patient, its microns per pixel and its labels.

A cohort checks itself when it is made. A slide whose file is missing or whose mpp is implausible is no fault of the
cohort: it gets a status of its own later; a cohort none of whose files exists is refused, as its root folder is then
wrong.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from src.data.files import digest
from src.data.mpp import MAX_MPP, MIN_MPP
from src.errors import CohortError
from src.interfaces import CohortKind

REQUIRED_COLUMNS = ("slide_id", "path", "patient_id", "mpp")
SPLIT_COLUMN = "split"

_SLIDE_ID = re.compile(r"\w[\w. -]*")  # a slide_id becomes a file name
_LONGEST_SLIDE_ID_BYTES = 200  # file systems take 255; the rest is for suffixes


@dataclass(frozen=True)
class SlideRecord:
    """One row of a cohort.

    Attributes:
        path: absolute path of the image; it may not exist.
        mpp: microns per pixel of level 0, or None when the file is to say it.
    """

    slide_id: str
    path: Path
    patient_id: str
    mpp: float | None


@dataclass(frozen=True, eq=False)
class Cohort:
    """Slides (pyramids) or regions (plain images), their patients and their labels.

    Attributes:
        name: what tables and folders call it.
        kind: `slides`, or `regions` when every image is one field of view.
        table: columns slide_id, path (absolute), patient_id, mpp (NaN: the file says it), then label columns and
            optionally split. Where its index has a name, such as `line`, errors point to rows with it.
        root: folder that the paths lie under; digests do not depend on it.
        label: label column that is used where none is asked for.
        default_mpp: microns per pixel of slides for which neither the table nor the file states it; None refuses them.
        note: licence and citation, one line.

    Raises:
        CohortError: a column is missing, an id is empty, unsafe or given twice, an mpp is no number, or no image
            exists.
    """

    name: str
    kind: CohortKind
    table: pd.DataFrame
    root: Path
    label: str | None = None
    default_mpp: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        self.check()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def label_columns(self) -> list[str]:
        """Every column that is a label, `split` included."""
        return [column for column in self.table.columns if column not in REQUIRED_COLUMNS]

    def records(self) -> Iterator[SlideRecord]:
        """The slides in the order of the table."""
        columns = (self.table[column] for column in REQUIRED_COLUMNS)
        for slide_id, path, patient_id, mpp in zip(*columns, strict=True):
            yield SlideRecord(slide_id, Path(path), patient_id, None if math.isnan(mpp) else float(mpp))

    def labels(self, column: str | None = None) -> pd.Series:
        """Labels as text, indexed by slide_id; NaN where a slide has none.

        Args:
            column: a label column; by default the cohort's `label`.

        Raises:
            CohortError: there is no such column.
        """
        column = column or self.label
        if column is None:
            raise CohortError(f"{self.name}: no label column was named; set data.label to one of {self.label_columns}")
        if column not in self.label_columns:
            raise CohortError(f"{self.name}: {self._no_such_label(column)}")
        texts = [_as_text(value) for value in self.table[column]]
        return pd.Series(texts, index=pd.Index(self.table["slide_id"], name="slide_id"), name=column, dtype=object)

    def digest(self) -> str:
        """Twelve digits that name the table's content, kind and default_mpp, wherever the root folder lies.

        The choice of `label` is left out: it shapes neither features nor indexes.
        """
        table = self.table.assign(path=[_relative(path, self.root) for path in self.table["path"]])
        settings = {"name": self.name, "kind": self.kind, "default_mpp": self.default_mpp}
        return digest({**settings, "table": table.to_csv(index=False)})

    def check(self) -> None:
        """Raise a CohortError for the first fault found."""
        self._check_columns()
        for column in ("path", "slide_id", "patient_id"):
            self._check_texts(column)
        self._check_slide_ids()
        self._check_mpp()
        if not any(Path(path).exists() for path in self.table["path"]):
            raise CohortError(
                f"{self.name}: none of the {len(self)} images exists under {self.root} "
                f"(the first is {self.table['path'].iloc[0]}); set data.root to the folder that holds them"
            )

    def _check_columns(self) -> None:
        missing = [column for column in REQUIRED_COLUMNS if column not in self.table.columns]
        if missing:
            raise CohortError(f"{self.name}: column {missing[0]} is missing; the table has {list(self.table.columns)}")
        if self.table.empty:
            raise CohortError(f"{self.name}: the table has no row; expected one per slide")
        if self.label is not None and self.label not in self.label_columns:
            raise CohortError(f"{self.name}: {self._no_such_label(self.label)}")

    def _check_texts(self, column: str) -> None:
        for position, value in enumerate(self.table[column]):
            if not isinstance(value, str) or not value.strip():
                raise CohortError(f"{self._row(position)}: {column} is {value!r}; expected text that is not empty")

    def _check_slide_ids(self) -> None:
        first_seen: dict[str, int] = {}
        for position, slide_id in enumerate(self.table["slide_id"]):
            if not _is_file_name(slide_id):
                raise CohortError(
                    f"{self._row(position)}: slide_id {slide_id!r} cannot name a file; use at most "
                    f"{_LONGEST_SLIDE_ID_BYTES} letters, digits, '_', '-', single '.' and spaces"
                )
            if slide_id in first_seen:
                first, paths = first_seen[slide_id], self.table["path"]
                raise CohortError(
                    f"{self._row(first)} ({paths.iloc[first]}) and {self._row(position, with_name=False)} "
                    f"({paths.iloc[position]}): both have slide_id {slide_id!r}; give every slide its own"
                )
            first_seen[slide_id] = position

    def _check_mpp(self) -> None:
        for position, value in enumerate(self.table["mpp"]):
            if not _is_number(value):
                raise CohortError(f"{self._row(position)}: mpp is {value!r}; expected microns per pixel, or nothing")
        if self.default_mpp is not None and not MIN_MPP <= self.default_mpp <= MAX_MPP:
            raise CohortError(f"{self.name}: default_mpp is {self.default_mpp}; expected {MIN_MPP:g} to {MAX_MPP:g}")

    def _row(self, position: int, with_name: bool = True) -> str:
        """`cohort, line 7` where the table kept its lines, else `cohort, row 6`, counted from 1."""
        name = self.table.index.name
        where = f"{name} {self.table.index[position]}" if name else f"row {position + 1}"
        return f"{self.name}, {where}" if with_name else where

    def _no_such_label(self, column: str) -> str:
        near = difflib.get_close_matches(column, self.label_columns, n=1, cutoff=0.0)
        hint = f"did you mean {near[0]!r}? It has" if near else "it has"
        return f"no label column {column!r}; {hint} {self.label_columns}"


def _as_text(value: Any) -> str | float:
    """Text of a cell; whole floats without `.0`, as a gap turns a column of whole numbers into floats."""
    if not isinstance(value, str) and pd.isna(value):
        return math.nan
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or math.nan


def _is_file_name(slide_id: str) -> bool:
    is_short = len(slide_id.encode()) <= _LONGEST_SLIDE_ID_BYTES
    return is_short and ".." not in slide_id and _SLIDE_ID.fullmatch(slide_id) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _relative(path: str, root: Path) -> str:
    return Path(path).relative_to(root).as_posix() if Path(path).is_relative_to(root) else path
