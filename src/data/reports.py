"""The report of each slide, read from a table or the cohort's own columns; slides of one patient may share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from src.data.cohort import Cohort
from src.data.cohorts.table import read_table
from src.errors import CohortError, ConfigError


class ReportSource(Protocol):
    """Where reports come from."""

    def read(self, cohort: Cohort) -> pd.Series:
        """The text of each slide that has one, by slide_id."""
        ...


@dataclass(frozen=True)
class NoReports:
    """Nothing was said of any slide."""

    def read(self, cohort: Cohort) -> pd.Series:
        """No text."""
        return pd.Series(dtype=object, name="report")


@dataclass(frozen=True)
class ReportColumns:
    """Reports that stand in the cohort's own table.

    Attributes:
        columns: that hold text; what a slide has in them is joined to one report.
    """

    columns: Sequence[str]

    def read(self, cohort: Cohort) -> pd.Series:
        """The text of each slide that has one, by slide_id.

        Raises:
            CohortError: a column is missing, or no slide has a text.
        """
        missing = [column for column in self.columns if column not in cohort.table]
        if missing or not self.columns:
            named = repr(missing[0]) if missing else "named"
            known = ", ".join(cohort.label_columns)
            raise CohortError(f"{cohort.name}: no column {named} for reports; set reports.columns to some of {known}")
        texts = cohort.table.set_index("slide_id")[list(self.columns)].apply(_sentences, axis=1)
        texts = texts[texts != ""]
        if not len(texts):
            raise CohortError(f"{cohort.name}: no slide has a text in {', '.join(self.columns)}; set reports.columns")
        return texts.rename("report")


@dataclass(frozen=True)
class ReportTable:
    """Reports in a CSV or parquet.

    Attributes:
        table: the file; None refuses to read.
        key: column that names a slide or a patient: slide_id, patient_id or another column of the cohort.
        column: that holds the text.
    """

    table: str | None
    key: str
    column: str

    def read(self, cohort: Cohort) -> pd.Series:
        """The text of each slide that has one, by slide_id.

        Raises:
            ConfigError: no table.
            CohortError: a column is missing, two texts of one key, or no slide has a text.
        """
        if self.table is None:
            raise ConfigError("reports.table is null; name a CSV of reports, or say reports=demo for data=demo")
        texts = self._texts(read_table(Path(self.table)))
        if self.key not in cohort.table:
            raise CohortError(f"{cohort.name}: no column {self.key!r}; set reports.key to one of its columns")
        found = cohort.table.set_index("slide_id", drop=False)[self.key].astype(str).map(texts).dropna()
        if not len(found):
            raise CohortError(f"{self.table}: none of its {len(texts)} reports has the {self.key} of a slide")
        return found.rename("report")

    def _texts(self, table: pd.DataFrame) -> pd.Series:
        missing = [column for column in (self.key, self.column) if column not in table]
        if missing:
            raise CohortError(f"{self.table}: no column {missing[0]!r}; it has {', '.join(map(str, table))}")
        kept = table[table[self.column].astype(str).str.strip().ne("") & table[self.column].notna()]
        texts = kept.astype({self.key: str, self.column: str}).drop_duplicates([self.key, self.column])
        twice = texts[self.key].duplicated()
        if twice.any():
            raise CohortError(f"{self.table}: {texts.loc[twice, self.key].iloc[0]} has two reports; keep one")
        return texts.set_index(self.key)[self.column]


def _sentences(cells: pd.Series) -> str:
    """The cells that say something, a full stop after each."""
    texts = [" ".join(str(cell).split()).rstrip(".") for cell in cells.dropna()]
    return " ".join(f"{text}." for text in texts if text)
