"""Classes of the database's slides, for rankings that weigh them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

from src.errors import ConfigError
from src.interfaces import Ranker, Rows

log = logging.getLogger(__name__)

UNLABELLED = -1


@dataclass(frozen=True)
class Classes:
    """The class of each slide, and what a class weighs: the inverse of how many slides it has.

    Attributes:
        of_slide: class of each slide of `Rows.slide_ids`, `UNLABELLED` where it has no label.
        names: of each class, as the label column has them.
        weights: of each class. The published factor (K = 30 for organs, 10 within one) is left out, as it cancels
            wherever weights are shares of their sum.
    """

    of_slide: Int64[np.ndarray, " slide"]
    names: tuple[str, ...]
    weights: Float64[np.ndarray, " class"]


@runtime_checkable
class WeighsLabels(Protocol):
    """A ranking that names only slides with a label.

    Attributes:
        label: column of the cohort table.
    """

    label: str | None


def report_unlabelled(ranking: Ranker, rows: Rows) -> None:
    """Warn of the slides that a ranking will never name, because they have no label."""
    if isinstance(ranking, WeighsLabels):
        n_unlabelled = rows.labels.get(ranking.label or "", ()).count(None)
        if n_unlabelled:
            log.warning(
                "%d of %d slides of the database have no %s and are no answer, because the ranking weighs it",
                *(n_unlabelled, len(rows.slide_ids), ranking.label),
            )


def classes_of(rows: Rows, label: str | None, ranking: str) -> Classes:
    """The classes that a label column gives the slides of an index.

    Args:
        rows: of the index, with labels.
        label: column of the cohort table.
        ranking: who asks, for the message.

    Raises:
        ConfigError: the column is not there, or no slide has a label.
    """
    if label is None or label not in rows.labels:
        known = ", ".join(sorted(rows.labels)) or "none, as its cohort is not at hand"
        raise ConfigError(
            f"ranking {ranking}: weighs label {label!r}, the database has {known}; set data.label, or another ranking="
        )
    labels = rows.labels[label]
    names = sorted({name for name in labels if name is not None})
    if not names:
        raise ConfigError(f"ranking {ranking}: no slide of the database has a {label!r}; set data.label=COLUMN")
    of_slide = np.array([UNLABELLED if name is None else names.index(name) for name in labels], dtype=np.int64)
    return Classes(of_slide, tuple(names), 1 / np.bincount(of_slide[of_slide >= 0]))
