"""Slides as bags: the features of one slide and its label are one training step.

Every random choice follows from (seed, epoch, slide), so a training that was stopped goes on exactly as if it had not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from src.data.feature_files import all_finite
from src.errors import FeatureFileError
from src.interfaces import FeatureStore

Item = TypeVar("Item")


class Bag(NamedTuple):
    """One slide.

    Attributes:
        features: float32 (patch, feature).
        label: its class, or one cell per target.
    """

    slide_id: str
    features: Tensor
    label: str | Sequence[str | float]


def seed_of(seed: int, epoch: int, slide_id: str) -> int:
    """32 bits for what is random about one slide in one epoch."""
    entropy = [seed, epoch, zlib.crc32(slide_id.encode())]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


class WholeBags(Dataset[Bag]):
    """All patches of each slide, read when asked for.

    Args:
        store: the features.
        labels: class, or one cell per target, of each slide, by slide_id.
    """

    def __init__(self, store: FeatureStore, labels: pd.Series) -> None:
        self.store = store
        self.labels = labels

    def __getitem__(self, index: int) -> Bag:
        slide_id = str(self.labels.index[index])
        features = self.store.load(slide_id).features
        if not all_finite(features):
            raise FeatureFileError(f"{slide_id}: features hold NaN or infinity; extract the slide again")
        label = self.labels.iloc[index]
        return Bag(slide_id, torch.from_numpy(features), label if isinstance(label, tuple) else str(label))

    def __len__(self) -> int:
        return len(self.labels)


class SampledBags(Dataset[Bag]):
    """At most `max_patches` random patches of each slide, others in every epoch; asked for by (epoch, index)."""

    def __init__(self, bags: WholeBags, max_patches: int, seed: int) -> None:
        self.bags = bags
        self.max_patches = max_patches
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> Bag:
        epoch, index = key
        bag = self.bags[index]
        if len(bag.features) <= self.max_patches:
            return bag
        rng = np.random.default_rng(seed_of(self.seed, epoch, bag.slide_id))
        kept = np.sort(rng.permutation(len(bag.features))[: self.max_patches])
        return bag._replace(features=bag.features[kept])

    def __len__(self) -> int:
        return len(self.bags)


class EpochSampler(Sampler[tuple[int, int]]):
    """Every index once, in an order drawn anew in each epoch, as (epoch, index); Lightning calls `set_epoch`.

    Several processes take turns in that order, so that each optimiser step has the slides that it has in one process;
    the last ones begin anew where slides do not divide evenly.

    Args:
        n: slides.
        seed: of the order.
        share: which process this is, and how many there are.
    """

    def __init__(self, n: int, seed: int, share: tuple[int, int] = (0, 1)) -> None:
        self.n = n
        self.seed = seed
        self.share = share
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.n)
        rank, n_processes = self.share
        turns = np.resize(order, len(self) * n_processes)[rank::n_processes]
        return iter([(self.epoch, int(index)) for index in turns])

    def __len__(self) -> int:
        return -(-self.n // self.share[1])


class LateLoader(DataLoader[Item]):
    """Starts to read at the first item, not at `iter`: after a resume, Lightning calls `set_epoch` in between."""

    def __iter__(self) -> Iterator[Item]:  # type: ignore[override]
        yield from super().__iter__()
