"""A sample of all patches of a cohort in one pass over its slides, every patch as likely as any other.

Source: the bottom-k sample of Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007: every patch gets
a random number, and those of the smallest numbers are kept. A patch's number depends on the seed and its slide alone,
so that the sample does not depend on the order of the slides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from src.data.progress import tracked
from src.errors import ConfigError
from src.interfaces import FeatureStore


@dataclass(frozen=True)
class ReservoirSample:
    """How many are drawn; at most twice as many features are held, and one slide.

    Attributes:
        n_patches: drawn of the whole cohort without replacement, or all where it has fewer.
        seed: of the random numbers.
    """

    n_patches: int
    seed: int

    def __post_init__(self) -> None:
        if self.n_patches < 1:
            raise ConfigError(f"sample: n_patches is {self.n_patches}, expected at least 1")

    def draw(self, store: FeatureStore) -> list[tuple[str, Float32[np.ndarray, "patch feature"]]]:
        """Each slide that takes part, and features of the patches drawn of it.

        Raises:
            ConfigError: a store without slides, or whose slides have no patches.
        """
        kept: list[_Drawn] = []
        n_held, largest = 0, np.inf
        for slide_id in tracked(list(store.slide_ids), "sample of all slides"):
            drawn = _Drawn.of(slide_id, store.load(slide_id).features, self.seed).up_to(largest)
            kept.append(drawn)
            n_held += len(drawn.numbers)
            if n_held > 2 * self.n_patches:
                kept, largest = self._smallest(kept)
                n_held = self.n_patches
        kept, _ = self._smallest(kept)
        if not kept:
            raise ConfigError(
                "database: no slide has patches, expected at least one; check the cohort and its features"
            )
        return [(drawn.slide_id, drawn.features) for drawn in kept]

    def _smallest(self, kept: list[_Drawn]) -> tuple[list[_Drawn], float]:
        """The patches of the smallest numbers, and the largest of these numbers."""
        numbers = np.concatenate([drawn.numbers for drawn in kept]) if kept else np.zeros(0)
        n = min(self.n_patches, len(numbers))
        largest = float(np.partition(numbers, n - 1)[n - 1]) if n else 0.0
        parts = [drawn.up_to(largest) for drawn in kept]
        return [drawn for drawn in parts if len(drawn.numbers)], largest


@dataclass(frozen=True)
class _Drawn:
    """Patches of a slide, and the random number of each."""

    slide_id: str
    features: Float32[np.ndarray, "patch feature"]
    numbers: Float64[np.ndarray, " patch"]

    @staticmethod
    def of(slide_id: str, features: Float32[np.ndarray, "patch feature"], seed: int) -> _Drawn:
        return _Drawn(slide_id, features, np.random.default_rng([seed, *slide_id.encode()]).random(len(features)))

    def up_to(self, largest: float) -> _Drawn:
        is_kept = self.numbers <= largest
        return _Drawn(self.slide_id, self.features[is_kept], self.numbers[is_kept])
