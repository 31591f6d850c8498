"""Any columns of a cohort's table as one task: what is chosen before the slides are seen."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, isnan, nan

import pandas as pd

from src.data.cohort import Cohort
from src.errors import ConfigError
from src.models.multitask import Cell, ClassColumn, MultiTask
from src.models.multitask_loss import class_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableTargets:
    """Columns to learn.

    Attributes:
        classification: columns that hold classes.
        regression: columns that hold numbers.
        classes: the classes of every classification, in the order of their logits; None for those found in train.
        ignored_class: a class that is neither learnt nor judged.
        weight_classes: a class costs w_c = N / n_c, N slides of which n_c have it.
        effective_class_weights: let these weights act on single slides too; see `MultiTask`.
        task_weights: factor of a task's loss by its name.
        cancer_column: label column by which the test slides are also judged apart; None for none.
    """

    classification: Sequence[str] = ()
    regression: Sequence[str] = ()
    classes: Sequence[str] | None = None
    ignored_class: str | None = None
    weight_classes: bool = True
    effective_class_weights: bool = False
    task_weights: Mapping[str, float | int] = field(default_factory=dict)
    cancer_column: str | None = None

    def __post_init__(self) -> None:
        self._check_columns()
        self._check_class_names()
        for name, weight in self.task_weights.items():
            if name not in self.columns or not (isfinite(weight) and weight >= 0):
                raise ConfigError(f"task.task_weights: {name}={weight}; expected a task and a factor of 0 or more")

    @property
    def columns(self) -> list[str]:
        """Classifications, then regressions."""
        return [*self.classification, *self.regression]

    def read(self, cohort: Cohort, slide_ids: Sequence[str]) -> pd.Series:
        """One cell per column and slide, for the slides with features of which anything is known.

        Raises:
            CohortError: there is no such column.
            ConfigError: a cell that is no number or no class, or nothing to learn from.
        """
        table = pd.DataFrame({name: cohort.labels(name) for name in self.columns})
        table = self._checked(table[table.index.isin(slide_ids)])
        known = table[self._is_known(table).any(axis=1)]
        n_bare, n_unknown = len(cohort) - len(table), len(table) - len(known)
        if n_bare or n_unknown:
            log.warning("left out %d slides without features, %d without any target", n_bare, n_unknown)
        if known.empty:
            raise ConfigError(
                f"no slide with features has a target; {cohort.name} has {len(cohort)} slides, check task="
            )
        return pd.Series(list(known.itertuples(index=False, name=None)), index=known.index, dtype=object)

    def strata(self, labels: pd.Series) -> pd.DataFrame:
        """The classes that every split should have, by slide and column; NaN where unknown or ignored."""
        columns = list(self.classification)
        classes = pd.DataFrame([cells[: len(columns)] for cells in labels], index=labels.index, columns=columns)
        return classes.mask(classes == self.ignored_class) if columns else classes

    def fit(self, labels: pd.Series) -> MultiTask:
        """Find the classes and their weights.

        Args:
            labels: cells of each slide in train.

        Raises:
            ConfigError: a column has fewer than two classes.
        """
        columns = {name: pd.Series([cells[i] for cells in labels]) for i, name in enumerate(self.classification)}
        return MultiTask(
            classification=tuple(self._fit_column(name, cells) for name, cells in columns.items()),
            regression=tuple(self.regression),
            effective_class_weights=self.effective_class_weights,
            task_weights={name: float(weight) for name, weight in self.task_weights.items()},
        )

    def summary(self, labels: pd.Series) -> str:
        """What is known of some slides, for the log."""
        return f"{len(labels)} slides, {len(self.classification)} classifications, {len(self.regression)} regressions"

    def _fit_column(self, name: str, cells: pd.Series) -> ClassColumn:
        if self.classes is not None:
            cells, classes = cells.fillna(self.ignored_class), tuple(self.classes)  # as HERE's code fills gaps
        else:
            classes = tuple(sorted(set(cells.dropna())))
        judged = [class_ for class_ in classes if class_ != self.ignored_class]
        if len(judged) < 2:
            raise ConfigError(
                f"{name}: train has {len(judged)} class, a classification needs two or more; leave it out"
            )
        weights = class_weights(cells, classes) if self.weight_classes else None
        return ClassColumn(name, classes, self.ignored_class, weights)

    def _check_columns(self) -> None:
        if not self.columns:
            raise ConfigError(
                "task: no column to learn; name some with task.classification=[A,B] or task.regression=[C]"
            )
        twice = [name for name, n in Counter(self.columns).items() if n > 1]
        if twice:
            raise ConfigError(f"task: column {twice[0]!r} is named twice; a column is one classification or regression")

    def _check_class_names(self) -> None:
        names = [*(self.classes or ()), *(() if self.ignored_class is None else (self.ignored_class,))]
        numbers = [name for name in names if not isinstance(name, str)]
        if numbers:
            raise ConfigError(f"task.classes: {numbers[0]!r} is no text, as classes are; put it in quotes")
        if self.classes is not None and self.ignored_class not in (None, *self.classes):
            raise ConfigError(f"task.ignored_class is {self.ignored_class!r}; expected one of {list(self.classes)}")

    def _checked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Text of classifications, numbers of regressions."""
        allowed = list(self.classes or ())
        for name in self.classification if allowed else ():
            strange = table[name][table[name].notna() & ~table[name].isin(allowed)]
            if len(strange):
                found = f"slide {strange.index[0]} has {strange.iloc[0]!r}"
                raise ConfigError(f"{name}: {found}; expected one of {allowed}, see task.classes")
        return table.assign(**{name: _numbers(table[name]) for name in self.regression})

    def _is_known(self, table: pd.DataFrame) -> pd.DataFrame:
        classes = table[list(self.classification)]
        return pd.concat(
            [classes.notna() & (classes != self.ignored_class), table[list(self.regression)].notna()], axis=1
        )


def _numbers(cells: pd.Series) -> pd.Series:
    return pd.Series([_number(cell, cells, i) for i, cell in enumerate(cells)], index=cells.index, dtype=float)


def _number(cell: Cell, cells: pd.Series, i: int) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = float("inf")
    if isnan(number):
        return nan
    if not isfinite(number):
        raise ConfigError(
            f"{cells.name}: slide {cells.index[i]} has {cell!r}; a regression needs numbers, "
            "a column of classes belongs in task.classification"
        )
    return number
