"""What the plain references of the engines share: slides of chosen patches, and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float32, Int64


@dataclass(frozen=True)
class PlainSlide:
    """The patches that stand for a slide.

    Attributes:
        keys: SISH's integer keys.
    """

    slide_id: str
    patient_id: str
    label: str
    features: Float32[np.ndarray, "patch feature"]
    keys: Int64[np.ndarray, " patch"]


@dataclass(frozen=True)
class PlainHit:
    """A slide, and what it is ranked by, as the engine's score has it."""

    slide_id: str
    score: float


class PlainEngine(Protocol):
    """Ranks the slides of other patients, one pair after the other."""

    def rank(self, query: PlainSlide, k: int) -> list[PlainHit]:
        """The `k` best slides, fewer where the method names fewer."""
        ...


def class_weights(slides: list[PlainSlide]) -> dict[str, float]:
    """1 / n of each label."""
    labels = [slide.label for slide in slides]
    return {label: 1 / labels.count(label) for label in sorted(set(labels))}
