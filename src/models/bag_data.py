"""A cohort as bags in three splits, for Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import lightning
import numpy as np
import pandas as pd
from torch.utils.data import DataLoader, Dataset, Sampler

from src.data.files import digest
from src.errors import ConfigError
from src.interfaces import FeatureStore
from src.models.bags import Bag, EpochSampler, LateLoader, SampledBags, WholeBags
from src.models.splits import (
    SPLITS,
    checked_split,
    refuse_unseen_classes,
    split_by_patient,
    split_with_every_class,
)

Key = TypeVar("Key")


class BagDataModule(lightning.LightningDataModule):
    """The bags of a cohort in three splits, one bag per step.

    Args:
        store: the features; read lazily, so memory holds one bag per worker.
        labels: class, or one cell per target, of each slide to use, by slide_id; none missing.
        patients: owner of each slide, by slide_id.
        split: `train`, `val` or `test`, by slide_id, where the cohort says so; otherwise a split is drawn.
        fractions: share of the patients in train, val and test, when a split is drawn.
        seed: of the order and the sampled patches.
        split_seed: of the split, when one is drawn.
        official_test_selection: as HERE's final training did: val joins train, and what is called val, on which the
            epoch is chosen, is test.
        max_patches: patches of a bag in training; None for all. Validation and test always see all.
        num_workers: processes that read ahead.
        strata: where labels are not classes, columns of which every drawn split should have every class.

    Raises:
        ConfigError: no split can be made, or a setting out of range.
    """

    def __init__(
        self,
        store: FeatureStore,
        labels: pd.Series,
        patients: pd.Series,
        split: pd.Series | None = None,
        fractions: Sequence[float] = (0.7, 0.15, 0.15),
        seed: int = 0,
        split_seed: int = 0,
        official_test_selection: bool = False,
        max_patches: int | None = None,
        num_workers: int = 0,
        strata: pd.DataFrame | None = None,
    ) -> None:
        super().__init__()
        if max_patches is not None and max_patches < 1:
            raise ConfigError(f"max_patches is {max_patches}; give at least 1, or null for all patches")
        if min(seed, split_seed) < 0:
            raise ConfigError(f"seed is {seed}, split_seed {split_seed}; give 0 or more")
        self.store = store
        self.labels = labels
        self.patients = patients
        if split is not None:
            self.split = checked_split(split, labels, patients)
        elif strata is not None:
            self.split = split_with_every_class(strata, patients, fractions, split_seed)
        else:
            self.split = split_by_patient(labels, patients, fractions, split_seed)
        self.official_test_selection = official_test_selection
        if official_test_selection:
            self.split = self.split.replace("val", "train")
        if strata is None:
            refuse_unseen_classes(self.split, labels)
        self.seed = seed
        self.max_patches = max_patches
        self.num_workers = num_workers

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have slides of their own."""
        return tuple(name for name in SPLITS if name in set(self.split))

    @property
    def tested_as(self) -> str:
        """What figures of the test slides are called, so that none is mistaken for another."""
        return "selected_on_test" if self.official_test_selection else "test"

    def as_shown(self, name: str) -> str:
        """The name of a metric, that of val changed where val is test."""
        split, _, rest = name.partition("/")
        return f"{self.tested_as}/{rest}" if split == "val" and self.official_test_selection else name

    def labels_in(self, split: str) -> pd.Series:
        """Label of each slide of a split, by slide_id; those of test for val, if the epoch is chosen on test."""
        is_test = split == "val" and self.official_test_selection
        return self.labels[self.split == ("test" if is_test else split)]

    def bags_in(self, split: str) -> WholeBags:
        """The slides of a split, read one by one."""
        return WholeBags(self.store, self.labels_in(split))

    def train_dataloader(self) -> DataLoader[Bag]:
        """Shuffled bags, sampled."""
        bags = self.bags_in("train")
        sampled = SampledBags(bags, self.max_patches or np.iinfo(np.int64).max, self.seed)
        return self._loader(sampled, EpochSampler(len(bags), self.seed, self._share(len(bags))))

    def val_dataloader(self) -> DataLoader[Bag]:
        """Whole bags, in order; several processes share them."""
        return self._shared("val")

    def test_dataloader(self) -> DataLoader[Bag]:
        """Whole bags, in order; several processes share them."""
        return self._shared("test")

    def whole(self, split: str) -> DataLoader[Bag]:
        """The bags of any split as they are, in order."""
        return self._loader(self.bags_in(split))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint remembers: a digest of the slides, labels and splits it was trained with."""
        return {"data": self._digest()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on with other data: its test slides may be among those already learnt from."""
        if state_dict["data"] != self._digest():
            raise ConfigError(
                "the checkpoint was trained with other slides, labels, splits or max_patches than this run has; "
                "restore data=, task=, bags= and seed=, or start anew with ckpt_path=null"
            )

    def _digest(self) -> str:
        return digest(
            {
                "labels": self.labels.to_dict(),
                "split": self.split.to_dict(),
                "seed": self.seed,
                "max_patches": self.max_patches,
            }
        )

    def _shared(self, split: str) -> DataLoader[Bag]:
        bags = self.bags_in(split)
        rank, n_processes = self._share(len(bags))
        return self._loader(bags, range(rank, len(bags), n_processes))

    def _share(self, n_slides: int) -> tuple[int, int]:
        """Which process this is, and how many there are.

        Lightning's own samplers would judge a slide twice where slides do not divide evenly, and draw one order for all
        epochs; `use_distributed_sampler` is off for that.
        """
        share = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        if n_slides < share[1]:
            raise ConfigError(f"a split has {n_slides} slides for {share[1]} processes; lower trainer.devices")
        return share

    def _loader(self, bags: Dataset[Bag], sampler: Sampler[Key] | range | None = None) -> DataLoader[Bag]:
        return LateLoader(bags, batch_size=None, sampler=sampler, num_workers=self.num_workers)
