"""What an engine keeps of its slides beside their codes: the table of rows, the background, predictions and reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from src.index.background import DrawnBackground, background_file, background_in, joined_backgrounds
from src.index.folder import OpenedFolder
from src.index.rows_table import RowsTable
from src.index.slide_predictions import SlidePredictions, joined_predictions, predictions_file, predictions_in
from src.index.slide_reports import SlideReports, joined_reports, reports_file, reports_in


@dataclass(frozen=True)
class SlideRecords:
    """What leaves with a slide and comes with another database, all at once.

    Attributes:
        table: where each row of the index comes from.
        background: codes that tell what chance gives; None without them.
        predictions: what a trained head says of each slide.
        reports: what was said of it.
    """

    table: RowsTable = field(default_factory=lambda: RowsTable.of([]))
    background: DrawnBackground | None = None
    predictions: SlidePredictions = field(default_factory=SlidePredictions)
    reports: SlideReports = field(default_factory=SlideReports)

    def without(self, slide_ids: Collection[str]) -> SlideRecords:
        """The records of the other slides.

        Raises:
            ConfigError: whose codes the background has is not known.
        """
        return SlideRecords(
            self.table.without(np.isin(np.array(self.table.rows.slide_ids), list(slide_ids))),
            None if self.background is None else self.background.without(slide_ids),
            self.predictions.without(slide_ids),
            self.reports.without(slide_ids),
        )

    def files(self) -> dict[str, Callable[[Path], None]]:
        """What writes the others beside the table into an index folder, by the names of the files."""
        return {
            **background_file(self.background),
            **predictions_file(self.predictions),
            **reports_file(self.reports),
        }


def joined_records(parts: Sequence[SlideRecords]) -> SlideRecords:
    """The records of several databases.

    Raises:
        ConfigError: a slide that two of them have.
    """
    return SlideRecords(
        RowsTable.joined([part.table for part in parts]),
        joined_backgrounds([part.background for part in parts]),
        joined_predictions([part.predictions for part in parts]),
        joined_reports([part.reports for part in parts]),
    )


def records_in(opened: OpenedFolder, n_bits: int) -> SlideRecords:
    """The records that an index folder keeps; `n_bits` is 0 for float codes."""
    return SlideRecords(opened.table, background_in(opened, n_bits), predictions_in(opened), reports_in(opened))
