"""Any columns of a cohort's table as one task: what is chosen before the slides are seen."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, isnan, nan
from typing import Any

import pandas as pd

from src.data.cohort import Cohort
from src.data.target import Target
from src.errors import ConfigError
from src.models.multitask import Cell, ClassColumn, MultiTask
from src.models.multitask_loss import class_weights

log = logging.getLogger(__name__)

_SHOWN = 3  # names in a line of the log


@dataclass(frozen=True)
class TableTargets:
    """Columns to learn.

    Attributes:
        classification: columns that hold classes.
        regression: columns that hold numbers.
        classes: the classes of every column of `classification`, in the order of their logits; None for those in train.
        ignored_class: a class of them that is neither learnt nor judged.
        targets: more columns, each with classes and cancer types of its own.
        weight_classes: a class costs w_c = N / n_c, N slides of which n_c have it.
        effective_class_weights: let these weights act on single slides too; see `MultiTask`.
        task_weights: factor of a task's loss by its name.
        cancer_column: label column by which the test slides are also judged apart, and a target's `cancers` are known;
            None for none, and every label counts.
    """

    classification: Sequence[str] = ()
    regression: Sequence[str] = ()
    classes: Sequence[str] | None = None
    ignored_class: str | None = None
    targets: Sequence[Target | Mapping[str, Any]] = ()
    weight_classes: bool = True
    effective_class_weights: bool = False
    task_weights: Mapping[str, float | int] = field(default_factory=dict)
    cancer_column: str | None = None

    def __post_init__(self) -> None:
        self._check_columns()
        for name, weight in self.task_weights.items():
            if name not in self.columns or not (isfinite(weight) and weight >= 0):
                raise ConfigError(f"task.task_weights: {name}={weight}; expected a task and a factor of 0 or more")

    @property
    def columns(self) -> list[str]:
        """Classifications, then regressions."""
        return [target.name for target in (*self._classes, *self._numbers)]

    def read(self, cohort: Cohort, slide_ids: Sequence[str]) -> pd.Series:
        """One cell per column and slide, for the slides with features of which anything is known.

        Raises:
            CohortError: there is no such column.
            ConfigError: a cell that is no number or no class, or nothing to learn from.
        """
        table = self._valid(pd.DataFrame({name: cohort.labels(name) for name in self.columns}), cohort)
        bare = table.index.difference(pd.Index(slide_ids))
        table = self._checked(table[table.index.isin(slide_ids)])
        known = table[self._is_known(table).any(axis=1)]
        if len(bare) or len(known) < len(table):
            unknown = table.index.difference(known.index)
            log.warning("left out %s without features, %s without any target", _counted(bare), _counted(unknown))
        if known.empty:
            raise ConfigError(
                f"no slide with features has a target; {cohort.name} has {len(cohort)} slides, check task="
            )
        return pd.Series(list(known.itertuples(index=False, name=None)), index=known.index, dtype=object)

    def strata(self, labels: pd.Series) -> pd.DataFrame:
        """The classes that every split should have, by slide and column; NaN where unknown or ignored."""
        columns = [target.name for target in self._classes]
        classes = pd.DataFrame([cells[: len(columns)] for cells in labels], index=labels.index, columns=columns)
        ignored = {target.name: classes[target.name] == target.ignored_class for target in self._classes}
        return classes.mask(pd.DataFrame(ignored)) if columns else classes

    def fit(self, labels: pd.Series) -> MultiTask:
        """Find the classes and their weights.

        Args:
            labels: cells of each slide in train.

        Raises:
            ConfigError: a column whose classes are not given has fewer than two, or nothing can be learnt.
        """
        cells = pd.DataFrame(list(labels), columns=self.columns)
        self._warn_of_idle(cells)
        return MultiTask(
            classification=tuple(self._fit_column(target, cells[target.name]) for target in self._classes),
            regression=tuple(target.name for target in self._numbers),
            effective_class_weights=self.effective_class_weights,
            task_weights={name: float(weight) for name, weight in self.task_weights.items()},
        )

    def summary(self, labels: pd.Series) -> str:
        """What is known of some slides, for the log."""
        return f"{len(labels)} slides, {len(self._classes)} classifications, {len(self._numbers)} regressions"

    @cached_property
    def _all(self) -> tuple[Target, ...]:
        given = (target if isinstance(target, Target) else Target(**target) for target in self.targets)
        named = (Target(name, "class", self.classes, self.ignored_class) for name in self.classification)
        return (*given, *named, *(Target(name, "number") for name in self.regression))

    @property
    def _classes(self) -> list[Target]:
        return [target for target in self._all if target.kind == "class"]

    @property
    def _numbers(self) -> list[Target]:
        return [target for target in self._all if target.kind == "number"]

    def _check_columns(self) -> None:
        if not self.columns:
            raise ConfigError(
                "task: no column to learn; name some with task.classification=[A,B] or task.regression=[C]"
            )
        twice = [name for name, n in Counter(self.columns).items() if n > 1]
        if twice:
            raise ConfigError(f"task: column {twice[0]!r} is named twice; a column is one classification or regression")

    def _valid(self, table: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
        """The table without labels of cancer types in which they are not valid."""
        if self.cancer_column is None:
            return table
        cancer = cohort.labels(self.cancer_column)
        limited = {target.name: target.cancers for target in self._all if target.cancers is not None}
        return table.assign(**{name: table[name].where(cancer.isin(cancers)) for name, cancers in limited.items()})

    def _checked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Text of classifications, numbers of regressions."""
        for name, classes in {target.name: target.classes for target in self._classes if target.classes}.items():
            strange = table[name][table[name].notna() & ~table[name].isin(classes)]
            if len(strange):
                found = f"slide {strange.index[0]} has {strange.iloc[0]!r}"
                raise ConfigError(f"{name}: {found}; expected one of {list(classes)}, see task.classes")
        return table.assign(**{target.name: _as_numbers(table[target.name]) for target in self._numbers})

    def _is_known(self, table: pd.DataFrame) -> pd.DataFrame:
        known = {t.name: table[t.name].notna() & (table[t.name] != t.ignored_class) for t in self._all}
        return pd.DataFrame(known)

    def _warn_of_idle(self, cells: pd.DataFrame) -> None:
        """Name the targets that train says nothing about; their outputs stay, as weights of others have them."""
        known = cells.where(self._is_known(cells))
        kinds = {target.name: 2 if target.kind == "class" and target.classes else 1 for target in self._all}
        idle = [name for name in self.columns if known[name].nunique() < kinds[name]]
        if len(idle) == len(self.columns):
            raise ConfigError(f"task: train says nothing of {_counted(idle, 'targets')}; check task= and the split")
        if idle:
            log.warning("%s: train has no label, or those of one class; not learnt", _counted(idle, "targets"))

    def _fit_column(self, target: Target, cells: pd.Series) -> ClassColumn:
        if target.classes is not None:
            cells, classes = cells.fillna(target.ignored_class), tuple(target.classes)  # as HERE's code fills gaps
        else:
            classes = tuple(sorted(set(cells.dropna())))
        judged = [class_ for class_ in classes if class_ != target.ignored_class]
        if len(judged) < 2:
            raise ConfigError(
                f"{target.name}: train has {len(judged)} class, a classification needs two or more; leave it out"
            )
        weights = class_weights(cells, classes) if self.weight_classes else None
        return ClassColumn(target.name, classes, target.ignored_class, weights)


def _counted(names: Sequence[Any] | pd.Index, what: str = "slides") -> str:
    """How many, and the first of them: `2 slides (s1, s2)`."""
    shown = [*map(str, names[:_SHOWN]), *(["..."] if len(names) > _SHOWN else [])]
    return f"{len(names)} {what}" + (f" ({', '.join(shown)})" if shown else "")


def _as_numbers(cells: pd.Series) -> pd.Series:
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
