"""Slides and their reports in three splits, for Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import lightning
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from src.data.feature_files import all_finite
from src.data.files import digest
from src.errors import ConfigError, FeatureFileError
from src.interfaces import FeatureStore
from src.models.bags import EpochSampler, LateLoader, seed_of
from src.models.pathsearch.sampling import Strata, sample, stratify
from src.models.splits import checked_split, split_by_patient

Key = TypeVar("Key")


class Pairs(NamedTuple):
    """A batch.

    Attributes:
        bags: float32 (patch, feature) of each slide.
        reports: of each slide.
    """

    slide_ids: list[str]
    bags: list[Tensor]
    reports: list[str]


class _Slides(Dataset[tuple[str, Tensor, str]]):
    """Slides and their reports, asked for by row: all patches; by (epoch, row): a sample of them."""

    def __init__(self, store: FeatureStore, reports: pd.Series, n_patches: int, n_clusters: int, seed: int) -> None:
        self.store = store
        self.reports = reports
        self.n_patches = n_patches
        self.n_clusters = n_clusters
        self.seed = seed
        self._strata: dict[str, Strata] = {}

    def __getitem__(self, key: int | tuple[int, int]) -> tuple[str, Tensor, str]:
        epoch, row = key if isinstance(key, tuple) else (None, key)
        slide_id = str(self.reports.index[row])
        features = self.store.load(slide_id).features
        if not all_finite(features):
            raise FeatureFileError(f"{slide_id}: features hold NaN or infinity; extract the slide again")
        if epoch is not None:
            features = features[self._sample(slide_id, features, epoch)]
        return slide_id, torch.from_numpy(features), str(self.reports.iloc[row])

    def __len__(self) -> int:
        return len(self.reports)

    def _sample(self, slide_id: str, features: np.ndarray, epoch: int) -> np.ndarray:
        if slide_id not in self._strata:
            self._strata[slide_id] = stratify(features, self.n_clusters, self.seed)
        return sample(
            self._strata[slide_id], self.n_patches, np.random.default_rng(seed_of(self.seed, epoch, slide_id))
        )


class SlideReportPairs(lightning.LightningDataModule):
    """The slides of a cohort that have a report.

    Args:
        store: the features.
        reports: by slide_id.
        labels: class of each slide, by slide_id, NaN where unknown; splits are drawn alike in them.
        patients: owner of each slide, by slide_id.
        split: `train`, `val` or `test`, by slide_id, where the cohort says so; otherwise a split is drawn.
        n_patches: of a slide in training.
        n_clusters: each gives its share of them.
        batch_size: slides of a step of each process.
        fractions: share of the patients in train, val and test, when a split is drawn.
        seed: of the order and the sampled patches.
        split_seed: of the split, when one is drawn.
        official_cached_sample: the same patches in every epoch.
        official_test_selection: what is called val, on which the epoch is chosen, is test.
        official_leave_out: in judging the four directions, of a patient only the query itself is no answer.
        num_workers: processes that read ahead.

    Raises:
        ConfigError: no split can be made, or a setting out of range.
    """

    def __init__(
        self,
        store: FeatureStore,
        reports: pd.Series,
        labels: pd.Series,
        patients: pd.Series,
        split: pd.Series | None,
        n_patches: int,
        n_clusters: int,
        batch_size: int,
        fractions: Sequence[float],
        seed: int,
        split_seed: int,
        official_cached_sample: bool,
        official_test_selection: bool,
        official_leave_out: bool,
        num_workers: int,
    ) -> None:
        super().__init__()
        if n_clusters < 1 or n_patches < n_clusters or batch_size < 2:
            raise ConfigError(
                f"pairs: n_patches is {n_patches}, n_clusters {n_clusters}, batch_size {batch_size}; expected at least "
                "as many patches as clusters, 1 and 2"
            )
        self.store = store
        self.reports = reports
        self.patients = patients
        classes = labels.reindex(reports.index).fillna("").astype(str)
        if split is None:
            self.split = split_by_patient(classes, patients, fractions, split_seed)
        else:
            self.split = checked_split(split, classes, patients)
        self.n_patches = n_patches
        self.n_clusters = n_clusters
        self.batch_size = batch_size
        self.seed = seed
        self.official_cached_sample = official_cached_sample
        self.official_test_selection = official_test_selection
        self.official_leave_out = official_leave_out
        self.num_workers = num_workers

    def reports_in(self, split: str) -> pd.Series:
        """The reports of a split, by slide_id; those of test for val, if the epoch is chosen on test."""
        is_test = split == "val" and self.official_test_selection
        return self.reports[self.split == ("test" if is_test else split)]

    def train_dataloader(self) -> DataLoader[Pairs]:
        """Shuffled slides, their patches sampled; the last batch is left out where it is not full."""
        slides = self._slides("train")
        share = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        sampler = _Fixed if self.official_cached_sample else EpochSampler
        turns = sampler(len(slides), self.seed, share)
        return self._loader(slides, turns, drop_last=len(turns) >= self.batch_size)

    def val_dataloader(self) -> DataLoader[Pairs]:
        """Whole slides in order; every process judges all, as a report is looked for among all."""
        return self.whole("val")

    def whole(self, split: str) -> DataLoader[Pairs]:
        """The slides of any split with all their patches, in order."""
        slides = self._slides(split)
        return self._loader(slides, range(len(slides)))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint remembers: a digest of what it was trained with."""
        return {"data": self._digest()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on with other data: its test slides may be among those already learnt from."""
        if state_dict["data"] != self._digest():
            raise ConfigError(
                "the checkpoint was trained with other slides, reports, splits or samples than this run has; restore "
                "data=, pairs= and seed=, or start anew with ckpt_path=null"
            )

    def _slides(self, split: str) -> _Slides:
        return _Slides(self.store, self.reports_in(split), self.n_patches, self.n_clusters, self.seed)

    def _loader(self, slides: _Slides, sampler: Sampler[Key] | range, drop_last: bool = False) -> DataLoader[Pairs]:
        return LateLoader(
            slides,  # type: ignore[arg-type]
            self.batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=self.num_workers,
            collate_fn=_collated,
        )

    def _digest(self) -> str:
        settings = (self.n_patches, self.n_clusters, self.batch_size, self.seed, self.official_cached_sample)
        return digest({"reports": self.reports.to_dict(), "split": self.split.to_dict(), "settings": settings})


class _Fixed(EpochSampler):
    """The same sample of each slide in every epoch, that of the first; the order changes."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(0, row) for _, row in super().__iter__()])


def _collated(items: Sequence[tuple[str, Tensor, str]]) -> Pairs:
    return Pairs(*map(list, zip(*items, strict=True)))
