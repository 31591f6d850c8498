"""How a hash encoder is trained where no weights are given: small, on the cohort that is about to be searched."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from src.interfaces import FeatureStore
from src.models.hashing.halves import SlideHalves, StandsFor
from src.models.hashing.module import SlideHashing
from src.models.quiet_training import train_quietly


@dataclass(frozen=True)
class HashRecipe:
    """Settings of a training that is over in a minute; conf/model/hshr.yaml has those of HSHR.

    Attributes:
        n_bits: of a code.
        n_vectors: of a half of a slide.
        queue_size: keys that a query is told from.
        key_momentum: how much of itself the copy that gives the keys keeps in a step.
        temperature: of the similarities.
        batch_size: slides of a step.
        n_steps: of the optimiser.
        lr: learning rate.
        seed: of everything that is random.
    """

    n_bits: int
    n_vectors: int
    queue_size: int
    key_momentum: float
    temperature: float
    batch_size: int
    n_steps: int
    lr: float
    seed: int

    def data(self, store: FeatureStore, stands_for: StandsFor, shaped_by: dict[str, Any]) -> SlideHalves:
        """What is learnt from: every slide."""
        return SlideHalves(store, stands_for, self.n_vectors, self.batch_size, 0.0, self.seed, shaped_by)

    def shaped_by(self, data: SlideHalves) -> dict[str, Any]:
        """Every setting and what names the data."""
        return {**asdict(self), "halves": data.fingerprint()}

    def train(self, data: SlideHalves, path: Path) -> None:
        """Train, and write the weights to `path`."""
        make = partial(
            SlideHashing,
            data.store.dim,
            self.n_bits,
            self.queue_size,
            self.key_momentum,
            self.temperature,
            self.lr,
            momentum=0.9,
            weight_decay=1e-4,
            lr_decay=1.0,
            seed=self.seed,
        )
        train_quietly(make, data, self.n_steps, self.seed, path, "hash encoder")
