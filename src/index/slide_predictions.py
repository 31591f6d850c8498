"""What a trained head says of each slide of a database, kept with the index so that slides are found by a target.

HERE's authors name queries by image, words and gene together as future work; of a gene, its head gives the probability
of a relevant mutation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from src.data.files import written_whole
from src.errors import ConfigError
from src.index.codes.learned import weights_digest
from src.index.folder import PREDICTIONS_FILE, OpenedFolder
from src.index.rankers.best_slides import best_slides
from src.interfaces import Code, Hit, Ranking, Rows
from src.models.predicted import Predicted

_SLIDE = "slide_id"
_OF_GENE = "_cls"  # HERE's name of a gene's target ends so


@runtime_checkable
class PredictingCode(Code, Protocol):
    """A code that may have a trained head."""

    def predictions(self, features: Float32[np.ndarray, "patch feature"]) -> tuple[Predicted, ...]:
        """What the head says of these patches as one slide; empty without a head."""
        ...


def predicts(code: Code) -> bool:
    """Whether a code has weights, and a head among them."""
    return isinstance(code, PredictingCode) and weights_digest(code) is not None


class SlidePredictions:
    """One value per slide and target: the probability of a class, or a number.

    Args:
        table: indexed by slide_id, one column per target; None for an empty one.
    """

    def __init__(self, table: pd.DataFrame | None = None) -> None:
        self._table = table
        self._seen: dict[str, dict[str, float]] = {}

    @property
    def table(self) -> pd.DataFrame:
        """By slide_id in the order they were added; without columns where there is no head."""
        if self._table is None or self._seen:
            seen = pd.DataFrame.from_dict(self._seen, orient="index", dtype=np.float64)
            self._table, self._seen = pd.concat([part for part in (self._table, seen) if part is not None]), {}
        return self._table

    def without(self, slide_ids: Collection[str]) -> SlidePredictions:
        """The values of the other slides."""
        return SlidePredictions(self.table.drop(index=list(slide_ids), errors="ignore"))

    def add(self, slide_id: str, code: Code, features: Float32[np.ndarray, "patch feature"]) -> None:
        """Ask the head of a code about the patches that stand for a slide, if there is one."""
        predicted = code.predictions(features) if isinstance(code, PredictingCode) else ()
        if predicted:
            self._seen[slide_id] = {target.name: target.value for target in predicted}

    def ranking(self, asked: str, rows: Rows, k: int, is_excluded: Bool[np.ndarray, " row"] | None = None) -> Ranking:
        """The `k` slides with the highest values of a target; score = that value, ties by slide_id.

        A hit lies where the first row of its slide does; its distance is the highest value of all slides less its own.

        Args:
            asked: a target, or a gene that has one (`KRAS` for `KRAS_cls`).
            rows: of the index.
            k: answers wanted.
            is_excluded: rows that are left out.

        Raises:
            ConfigError: no predictions, or none of this target.
        """
        values = self.table[self._column(asked)].reindex(list(rows.slide_ids)).to_numpy()
        first_row = np.searchsorted(rows.slide_of_row, np.arange(len(rows.slide_ids)))
        best = best_slides(values, first_row, rows, k, is_excluded)
        return Ranking(asked, _hits(best.tolist(), values, first_row, rows))

    def _column(self, asked: str) -> str:
        known = [str(name) for name in self.table]
        for name in (asked, f"{asked}{_OF_GENE}"):
            if name in known:
                return name
        if not known:
            raise ConfigError(
                f"query.gene={asked}: the index knows no predictions; build it with head.checkpoint= a head that was "
                "trained on this target"
            )
        raise ConfigError(f"query.gene={asked}: the head has no such target; it has {', '.join(known[:12])}")


def joined_predictions(parts: Sequence[SlidePredictions]) -> SlidePredictions:
    """The values of several databases."""
    return SlidePredictions(pd.concat([part.table for part in parts]))


def predictions_file(predictions: SlidePredictions) -> dict[str, Callable[[Path], None]]:
    """What writes the values into an index folder, by the name of the file; nothing where there are none."""
    table = predictions.table
    return {} if table.empty else {PREDICTIONS_FILE: lambda path: _write(table, path)}


def predictions_in(opened: OpenedFolder) -> SlidePredictions:
    """The values that an index folder keeps, empty where it keeps none."""
    if PREDICTIONS_FILE not in opened.manifest["sha256"]:
        return SlidePredictions()
    return SlidePredictions(pd.read_parquet(opened.folder / PREDICTIONS_FILE).set_index(_SLIDE))


def _hits(slides: Sequence[int], values: np.ndarray, first_row: np.ndarray, rows: Rows) -> tuple[Hit, ...]:
    best = float(np.nanmax(values))
    return tuple(_hit(i, float(values[i]), best, rows.xy[first_row[i]], rows) for i in slides)


def _hit(slide: int, value: float, best: float, xy: np.ndarray, rows: Rows) -> Hit:
    x, y = xy.tolist()
    return Hit(rows.slide_ids[slide], rows.patient_ids[slide], x, y, distance=best - value, score=value)


def _write(table: pd.DataFrame, path: Path) -> None:
    with written_whole(path) as temporary:
        table.rename_axis(_SLIDE).reset_index().to_parquet(temporary, index=False)
