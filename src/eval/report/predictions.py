"""What a trained head says of a query, in the order that a reader wants it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.models.predicted import Predicted

N_EXTREME = 3
_LIKELY = 0.5


@dataclass(frozen=True)
class Bar:
    """One target as a bar.

    Attributes:
        name: of the target, and of the class whose probability is shown.
        start: left end of the bar, percent of the row.
        length: of the bar, percent of the row.
    """

    name: str
    value: float
    start: float
    length: float


def title_of(target: Predicted) -> str:
    """The name of a target without what every name shares.

    >>> title_of(Predicted("TP53_cls", "class", 0.7, "loss"))
    'TP53 loss'
    >>> title_of(Predicted("HALLMARK_E2F_TARGETS_sum", "number", 0.2))
    'E2F TARGETS'
    """
    name = target.name.removesuffix("_cls").removesuffix("_sum").removeprefix("HALLMARK_").replace("_", " ")
    return f"{name} {target.class_name}".strip()


def notable(predictions: Sequence[Predicted]) -> dict[str, list[Predicted]]:
    """The few targets that stand out, by what they stand out for.

    >>> found = notable([Predicted("TP53_cls", "class", 0.7, "loss"), Predicted("KRAS_cls", "class", 0.1, "gain")])
    >>> [target.name for target in found["likely"]], found["highest"], found["lowest"]
    (['TP53_cls'], [], [])
    """
    numbers = _ordered(predictions, "number")
    return {
        "likely": [target for target in _ordered(predictions, "class") if target.value >= _LIKELY],
        "highest": numbers[:N_EXTREME],
        "lowest": numbers[N_EXTREME:][-N_EXTREME:],
    }


def class_bars(predictions: Sequence[Predicted]) -> list[Bar]:
    """Each class, the most probable first; a full row is 1."""
    return [Bar(title_of(target), target.value, 0.0, 100 * target.value) for target in _ordered(predictions, "class")]


def number_bars(predictions: Sequence[Predicted]) -> list[Bar]:
    """Each number, the highest first, from 0 in the middle of the row; the largest of either sign reaches an end."""
    numbers = _ordered(predictions, "number")
    largest = max((abs(target.value) for target in numbers), default=0.0) or 1.0
    lengths = [50 * abs(target.value) / largest for target in numbers]
    return [
        Bar(title_of(target), target.value, 50.0 - length if target.value < 0 else 50.0, length)
        for target, length in zip(numbers, lengths, strict=True)
    ]


def _ordered(predictions: Sequence[Predicted], kind: str) -> list[Predicted]:
    return sorted((target for target in predictions if target.kind == kind), key=lambda target: -target.value)
