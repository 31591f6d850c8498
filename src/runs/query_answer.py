"""What is known of a query once it was searched: its scales, the weight of its patches, what a trained head says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from src.index.engine import RetrievalEngine
from src.interfaces import Ranking, SlideFeatures
from src.models.predicted import Predicted
from src.runs.query_scales import Scale


@runtime_checkable
class TrainedCode(Protocol):
    """A code that may have a trained head."""

    def attention(self, features: Float32[np.ndarray, "patch feature"]) -> Float32[np.ndarray, " patch"] | None:
        """Weight of each patch, which sum to 1; None without a head."""
        ...

    def predictions(self, features: Float32[np.ndarray, "patch feature"]) -> tuple[Predicted, ...]:
        """What the head says of these patches as one slide; empty without a head."""
        ...


@dataclass(frozen=True)
class Answer:
    """A query, searched.

    Attributes:
        shown: the scale whose hits are the answer.
        scales: all that were searched, that one among them.
        attention: weight of each patch of `shown`, NaN for those that the mosaic left out; None without a head.
        predictions: of a trained head, target by target.
        parts: ranking of all slides for each part of the query, where there are several and `shown` has all of them.
    """

    shown: Scale
    scales: tuple[Scale, ...]
    attention: Float32[np.ndarray, " patch"] | None
    predictions: tuple[Predicted, ...]
    parts: Mapping[str, Ranking] = field(default_factory=dict)

    @classmethod
    def of(cls, shown: Scale, scales: Sequence[Scale], engine: RetrievalEngine) -> Answer:
        """Ask the engine's head, if it has one, about the patches that were searched with."""
        if not isinstance(engine.code, TrainedCode) or not shown.images:
            return cls(shown, tuple(scales), None, ())
        rows = engine.mosaic.select(shown.query)
        bag = shown.query.features[rows]
        weights = engine.code.attention(bag)
        return cls(shown, tuple(scales), _of_all(weights, rows, shown.query), engine.code.predictions(bag))

    @property
    def asked(self) -> str:
        """The files of the query, or its words; the names of its parts where it has several."""
        files = ", ".join(image.path for image in self.shown.images)
        return self.shown.query.slide_id if self.parts else files or self.shown.query.slide_id

    def attention_by_image(self) -> list[Float32[np.ndarray, " patch"] | None]:
        """The weights of each image's patches."""
        sizes = [len(patches) for patches in self.shown.patches]
        if self.attention is None:
            return [None] * len(sizes)
        return list(np.split(self.attention, np.cumsum(sizes)[:-1]))


def _of_all(
    weights: Float32[np.ndarray, " mosaic"] | None, rows: np.ndarray, query: SlideFeatures
) -> Float32[np.ndarray, " patch"] | None:
    if weights is None:
        return None
    spread = np.full(len(query.coords), np.nan, dtype=np.float32)
    spread[rows] = weights
    return spread
