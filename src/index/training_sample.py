"""The patches that an index is fitted on.

Source: HERE, `generate_faiss_index_v2.py`: 500 random slides, of which those with fewer than 100 patches are left out,
and 100 random patches of each of the others.
Differs from HERE: where that would leave out more than half of the slides (regions, patch-level cohorts), small slides
take part too, and slides are drawn until as many patches are found as HERE would have.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from src.errors import ConfigError
from src.interfaces import FeatureStore

_log = logging.getLogger(__name__)


@runtime_checkable
class Sampling(Protocol):
    """How an engine draws the patches that it is fitted on."""

    def draw(self, store: FeatureStore) -> list[tuple[str, Float32[np.ndarray, "patch feature"]]]:
        """Each slide that takes part, and features of the patches drawn of it."""
        ...


@dataclass(frozen=True)
class TrainingSample:
    """How the sample is drawn; at most `n_slides * n_patches` features are held.

    Attributes:
        n_slides: slides drawn without replacement.
        n_patches: patches drawn of each slide without replacement, or all when it has fewer.
        min_patches: a slide with fewer is left out.
        seed: of both draws.
    """

    n_slides: int
    n_patches: int
    min_patches: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.n_slides, self.n_patches) < 1:
            raise ConfigError(
                f"training_sample: n_slides is {self.n_slides} and n_patches {self.n_patches}, expected at least 1"
            )

    def draw(self, store: FeatureStore) -> list[tuple[str, Float32[np.ndarray, "patch feature"]]]:
        """Each slide that takes part, and features of the patches drawn of it.

        Raises:
            ConfigError: a store without slides, or whose slides have no patches.
        """
        rng = np.random.default_rng(self.seed)
        slide_ids = rng.permutation(list(store.slide_ids)).tolist()
        drawn = slide_ids[: self.n_slides]
        parts = list(self._parts(store, drawn, self.min_patches, rng))
        if len(parts) < len(drawn) / 2:
            _log.info(
                "training sample: slides with fewer than %d patches take part, as most have fewer", self.min_patches
            )
            parts = list(self._parts(store, slide_ids, 1, rng))
        if not parts:
            raise ConfigError(
                "database: no slide has patches, expected at least one; check the cohort and its features"
            )
        return parts

    def _parts(
        self, store: FeatureStore, slide_ids: list[str], min_patches: int, rng: np.random.Generator
    ) -> Iterator[tuple[str, Float32[np.ndarray, "patch feature"]]]:
        n_missing = self.n_slides * self.n_patches
        for slide_id in slide_ids:
            if n_missing == 0:
                return
            features = store.load(slide_id).features
            if len(features) >= min_patches:
                n_drawn = min(self.n_patches, len(features), n_missing)
                yield slide_id, features[rng.choice(len(features), size=n_drawn, replace=False)]
                n_missing -= n_drawn
