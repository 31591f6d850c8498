"""The report of each slide, read from a table; slides of one patient may share one."""

from __future__ import annotations

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
