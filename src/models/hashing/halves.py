"""Two random halves of each slide: what a hash encoder learns to tell from the halves of other slides.

Source: HSHR (see `network`), `preprocess.py`: the patches of a slide are shuffled and cut in two once, and each half
becomes 20 centres. Differs from HSHR: a half that has fewer vectors repeats them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from src.data.files import digest
from src.data.progress import tracked
from src.errors import CohortError, ConfigError
from src.interfaces import FeatureStore, SlideFeatures
from src.models.bags import EpochSampler, LateLoader, seed_of

StandsFor = Callable[[SlideFeatures], Float32[np.ndarray, "vector feature"]]
"""The vectors that stand for a slide."""


class Halves(NamedTuple):
    """Both halves of a slide, or of a batch of them; each float32 (vector, feature)."""

    first: Tensor
    second: Tensor


class HalvesOfSlides(Dataset[Halves]):
    """Both halves of each slide, in memory; asked for by (epoch, row).

    Args:
        vectors: of both halves.
    """

    def __init__(self, vectors: Float32[Tensor, "slide 2 vector feature"]) -> None:
        self.vectors = vectors

    def __getitem__(self, key: tuple[int, int]) -> Halves:
        _, row = key
        return Halves(*self.vectors[row])

    def __len__(self) -> int:
        return len(self.vectors)


class SlideHalves(lightning.LightningDataModule):
    """The slides of a cohort in halves; labels are not looked at.

    Args:
        store: the features.
        stands_for: the vectors of a half; called twice per slide, once in all.
        n_vectors: of each half: more are drawn from, fewer are repeated.
        batch_size: slides of a step.
        seed: of the halves and the order.
        shaped_by: what names store and vectors in a checkpoint; JSON-serialisable.

    Raises:
        ConfigError: a setting below 1.
    """

    def __init__(
        self,
        store: FeatureStore,
        stands_for: StandsFor,
        n_vectors: int,
        batch_size: int,
        seed: int,
        shaped_by: dict[str, Any],
    ) -> None:
        super().__init__()
        if min(n_vectors, batch_size) < 1:
            raise ConfigError(f"halves: n_vectors is {n_vectors} and batch_size {batch_size}, expected at least 1")
        self.store = store
        self.stands_for = stands_for
        self.n_vectors = n_vectors
        self.batch_size = batch_size
        self.seed = seed
        self.shaped_by = shaped_by

    @cached_property
    def halves(self) -> HalvesOfSlides:
        """Every slide of two patches or more.

        Raises:
            CohortError: fewer than two such slides.
        """
        slides = tracked(list(self.store.slide_ids), "halves of slides")
        halves = [half for slide_id in slides for half in self._halves(self.store.load(slide_id))]
        if len(halves) < 4:
            raise CohortError(
                f"{len(halves) // 2} of {len(self.store.slide_ids)} slides have two patches or more, a hash encoder "
                "learns from two such slides or more; choose smaller patches, or another code="
            )
        return HalvesOfSlides(torch.from_numpy(np.stack(halves).reshape(-1, 2, *halves[0].shape)))

    def train_dataloader(self) -> DataLoader[Halves]:
        """Shuffled slides; the last batch is left out where it is not full."""
        is_full = len(self.halves) >= self.batch_size
        sampler = EpochSampler(len(self.halves), self.seed)
        return LateLoader(self.halves, self.batch_size, sampler=sampler, drop_last=is_full)

    def fingerprint(self) -> dict[str, Any]:
        """Everything that shapes what is learnt from; JSON-serialisable."""
        settings = {"n_vectors": self.n_vectors, "batch_size": self.batch_size, "seed": self.seed}
        return {**self.shaped_by, **settings}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint remembers: a digest of the slides it was trained with."""
        return {"data": digest(self.fingerprint())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on with other data."""
        if state_dict["data"] != digest(self.fingerprint()):
            raise ConfigError(
                "the checkpoint was trained with other slides, features or halves than this run has; restore data=, "
                "encoder=, patching=, mosaic= and seed=, or start anew with ckpt_path=null"
            )

    def _halves(self, slide: SlideFeatures) -> list[Float32[np.ndarray, "vector feature"]]:
        n = len(slide.features)
        if n < 2:
            return []
        rng = np.random.default_rng(seed_of(self.seed, 0, slide.slide_id))
        parts = np.array_split(rng.permutation(n), 2)
        return [self._vectors(slide.take(np.sort(part)), rng) for part in parts]

    def _vectors(self, half: SlideFeatures, rng: np.random.Generator) -> Float32[np.ndarray, "vector feature"]:
        vectors = self.stands_for(half)
        return vectors[np.resize(rng.permutation(len(vectors)), self.n_vectors)]
