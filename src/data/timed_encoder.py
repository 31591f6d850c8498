"""An encoder whose time is taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from src.interfaces import Encoder, Image


class TimedEncoder:
    """Encodes as the encoder that it is given, and remembers how long each batch took.

    Args:
        encoder: what encodes.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._ms_of_batches: list[float] = []
        self.name = encoder.name
        self.dim = encoder.dim
        self.mpp = encoder.mpp
        self.batch_size = encoder.batch_size

    @property
    def ms_per_patch(self) -> float | None:
        """Median over the batches, transform included, so that the first, slow one does not count; None before it."""
        return statistics.median(self._ms_of_batches) if self._ms_of_batches else None

    def fingerprint(self) -> dict[str, Any]:
        """That of the encoder: time shapes no feature."""
        return self._encoder.fingerprint()

    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        """The encoder's features."""
        started = time.perf_counter()
        features = self._encoder.encode(patches)
        if len(patches):
            self._ms_of_batches.append(1000 * (time.perf_counter() - started) / len(patches))
        return features
