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
from src.models.held_back import held_back

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
        val_fraction: of the patients, whose slides are held back to validate; 0 for none.
        seed: of the halves, the patients held back and the order.
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
        val_fraction: float,
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
        self.val_fraction = val_fraction
        self.seed = seed
        self.shaped_by = shaped_by

    def train_dataloader(self) -> DataLoader[Halves]:
        """Shuffled slides; the last batch is left out where it is not full."""
        slides = self.slides_in("train")
        is_full = len(slides) >= self.batch_size
        sampler = EpochSampler(len(slides), self.seed)
        return LateLoader(slides, self.batch_size, sampler=sampler, drop_last=is_full)

    def val_dataloader(self) -> DataLoader[Halves] | list[DataLoader[Halves]]:
        """Slides in order; none where no patient is held back."""
        if not self.val_fraction:
            return []
        slides = self.slides_in("val")
        return LateLoader(slides, self.batch_size, sampler=[(0, row) for row in range(len(slides))])

    def slides_in(self, split: str) -> HalvesOfSlides:
        """The slides of `train` or `val` that have two patches or more.

        Raises:
            CohortError: there are none, or one alone to learn from.
        """
        of_split = [self._halves[slide_id] for slide_id in self._halves if self._is_val(slide_id) == (split == "val")]
        n_needed = 1 if split == "val" else 2
        if len(of_split) < n_needed:
            raise CohortError(
                f"{len(of_split)} slides of two patches or more for {split}, a hash encoder takes at least {n_needed}; "
                "choose smaller patches, more slides, or another code="
            )
        return HalvesOfSlides(torch.from_numpy(np.stack(of_split)))

    def fingerprint(self) -> dict[str, Any]:
        """Everything that shapes what is learnt from; JSON-serialisable."""
        settings = {"n_vectors": self.n_vectors, "batch_size": self.batch_size, "val_fraction": self.val_fraction}
        return {**self.shaped_by, **settings, "seed": self.seed}

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

    @cached_property
    def _halves(self) -> dict[str, Float32[np.ndarray, "2 vector feature"]]:
        slides = (self.store.load(slide_id) for slide_id in tracked(list(self.store.slide_ids), "halves of slides"))
        return {slide.slide_id: self._halved(slide) for slide in slides if len(slide.features) > 1}

    @cached_property
    def _val_patients(self) -> frozenset[str]:
        return held_back(map(self.store.patient_of, self.store.slide_ids), self.val_fraction, self.seed)

    def _is_val(self, slide_id: str) -> bool:
        return self.store.patient_of(slide_id) in self._val_patients

    def _halved(self, slide: SlideFeatures) -> Float32[np.ndarray, "2 vector feature"]:
        rng = np.random.default_rng(seed_of(self.seed, 0, slide.slide_id))
        parts = np.array_split(rng.permutation(len(slide.features)), 2)
        return np.stack([self._vectors(slide.take(np.sort(part)), rng) for part in parts])

    def _vectors(self, half: SlideFeatures, rng: np.random.Generator) -> Float32[np.ndarray, "vector feature"]:
        vectors = self.stands_for(half)
        return vectors[np.resize(rng.permutation(len(vectors)), self.n_vectors)]
