"""What a trained head says of one target: a value alone, so that what shows it needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Predicted:
    """What is said of one target of a slide.

    Attributes:
        name: of the target.
        kind: a `class`, or a `number`.
        value: probability of `class_name`, 0 to 1, or the number.
        class_name: empty for a number.
    """

    name: str
    kind: Literal["class", "number"]
    value: float
    class_name: str = ""
