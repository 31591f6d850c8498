"""Patches of a cohort, read from its slides when they are asked for: what networks that learn from pixels are fed.

Labels are looked at only where a column is named. Every random choice follows from (seed, epoch, slide or patch), so a
training that was stopped goes on exactly as if it had not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import lightning
import numpy as np
from jaxtyping import Float32
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from src.data.cohort import SPLIT_COLUMN, Cohort, SlideRecord
from src.data.files import digest, slide_digest
from src.data.open_slides import OpenSlides
from src.data.patching import Patcher, Patches
from src.data.progress import tracked
from src.data.slide import PyramidSlide, open_slide
from src.errors import CohortError, ConfigError, CorruptTiles, SlideError
from src.interfaces import Image
from src.models.bags import EpochSampler, LateLoader, seed_of
from src.models.held_back import held_back

log = logging.getLogger(__name__)


@runtime_checkable
class PatchView(Protocol):
    """What a network sees of a patch, one or several times."""

    def __call__(self, image: Image, rng: np.random.Generator) -> Float32[Tensor, "view 3 height width"]:
        """Views of one size, whatever the size of the patch, 0 to 1; all that is random comes from `rng`."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Everything that shapes the views; JSON-serialisable."""
        ...


class Patch(NamedTuple):
    """One patch, or a batch of them.

    Attributes:
        row: its place among the patches of its part of the cohort, the same in every epoch.
        views: float32 (view, 3, height, width).
        label: place of its class in `PatchDataModule.classes`; -1 where no label was asked for.
    """

    row: int | Tensor
    views: Tensor
    label: int | Tensor = -1


@dataclass(frozen=True)
class PatchPlace:
    """Where a patch is read: its top-left at level 0, width and height in pixels at `mpp`."""

    record: SlideRecord
    x: int
    y: int
    size_px: tuple[int, int]
    mpp: float
    label: int = -1


class CohortPatches(Dataset[Patch]):
    """Views of patches; asked for by (epoch, row).

    Args:
        places: of the patches.
        view: what is seen of each.
        seed: of the views.
        default_mpp: microns per pixel of slides for which nothing else says it.
        window_px: read only a random square of this side of each patch, which is faster where patches are large.
    """

    def __init__(
        self,
        places: Sequence[PatchPlace],
        view: PatchView,
        seed: int,
        default_mpp: float | None,
        window_px: int | None = None,
    ) -> None:
        self.places = places
        self.view = view
        self.seed = seed
        self.default_mpp = default_mpp
        self.window_px = window_px
        self._slides = OpenSlides(self._opened)

    def __getitem__(self, key: tuple[int, int]) -> Patch:
        epoch, row = key
        place = self.places[row]
        rng = np.random.default_rng(seed_of(self.seed, epoch, f"{place.record.slide_id} {place.x} {place.y}"))
        return Patch(row, self.view(self._image(row, rng), rng), place.label)

    def __len__(self) -> int:
        return len(self.places)

    def _image(self, row: int, rng: np.random.Generator) -> Image:
        """The patch, or the next one that can be decoded where it cannot."""
        for place in (*self.places[row:], *self.places[:row]):
            try:
                return self._read(place, rng)
            except CorruptTiles as error:
                log.debug("%s", error)
        raise CorruptTiles(f"none of the {len(self)} patches can be decoded; restore the slides")

    def _read(self, place: PatchPlace, rng: np.random.Generator) -> Image:
        slide = self._slides[place.record]
        side_px = self.window_px
        if side_px is None or side_px > min(place.size_px):
            return slide.read(place.x, place.y, place.size_px, place.mpp)
        dx, dy = (int(rng.integers(side - side_px + 1) * place.mpp / slide.mpp) for side in place.size_px)
        return slide.read(place.x + dx, place.y + dy, side_px, place.mpp)

    def _opened(self, record: SlideRecord) -> PyramidSlide:
        return open_slide(record.path, record.slide_id, record.mpp, self.default_mpp)


class PatchDataModule(lightning.LightningDataModule):
    """The patches of a cohort, those of some patients held back to validate.

    Args:
        cohort: the slides.
        patcher: where their patches are.
        view: what is seen of each.
        patches_per_slide: random ones of each slide, the same in every epoch; None for all.
        batch_size: patches of a step.
        val_fraction: of the patients, at least one of them; 0 for none.
        seed: of the patches drawn, the patients held back, the order and the views.
        num_workers: processes that read ahead.
        window_px: see `CohortPatches`.
        label: column of the cohort whose classes are learnt; slides without a value take no part. None for no labels.
        part: value of the cohort's column `split` that a slide needs to take part; None for all slides.

    Raises:
        ConfigError: a setting out of range.
    """

    def __init__(
        self,
        cohort: Cohort,
        patcher: Patcher,
        view: PatchView,
        patches_per_slide: int | None,
        batch_size: int,
        val_fraction: float,
        seed: int,
        num_workers: int = 0,
        window_px: int | None = None,
        label: str | None = None,
        part: str | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or (patches_per_slide is not None and patches_per_slide < 1):
            raise ConfigError(
                f"patches: batch_size is {batch_size}, patches_per_slide {patches_per_slide}; give 1 or more"
            )
        if not 0 <= val_fraction < 1:
            raise ConfigError(f"patches.val_fraction is {val_fraction}; expected 0 to 1, 1 not included")
        self.cohort = cohort
        self.patcher = patcher
        self.view = view
        self.patches_per_slide = patches_per_slide
        self.batch_size = batch_size
        self.val_fraction = val_fraction
        self.seed = seed
        self.num_workers = num_workers
        self.window_px = window_px
        self.label = label
        self.part = part

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes that are learnt, in alphabetical order; empty without a label.

        Raises:
            CohortError: the cohort has no such column, or no slide takes part.
        """
        return tuple(sorted(set(self._labels.values())))

    @cached_property
    def places(self) -> Sequence[PatchPlace]:
        """Every patch that takes part; tissue is searched for when this is first asked.

        Raises:
            CohortError: no slide has a patch.
        """
        records = [record for record in self.cohort.records() if record.slide_id in self._taking_part]
        places = [place for record in tracked(records, "patches to learn from") for place in self._drawn(record)]
        if not places:
            raise CohortError(f"{self.cohort.name}: no slide has a patch to learn from; check its tissue and its files")
        return places

    def patches_in(self, split: str) -> CohortPatches:
        """The patches of `train` or `val`."""
        is_val = split == "val"
        places = [place for place in self.places if (place.record.patient_id in self._val_patients) == is_val]
        return CohortPatches(places, self.view, self.seed, self.cohort.default_mpp, self.window_px)

    def train_dataloader(self) -> DataLoader[Patch]:
        """Shuffled patches; the last batch is left out where it is not full."""
        patches = self.patches_in("train")
        sampler = EpochSampler(len(patches), self.seed)
        is_full = len(patches) >= self.batch_size
        return LateLoader(patches, self.batch_size, sampler=sampler, num_workers=self.num_workers, drop_last=is_full)

    def val_dataloader(self) -> DataLoader[Patch] | list[DataLoader[Patch]]:
        """Patches in order; none where no patient is held back."""
        return self.whole("val") if self.val_fraction else []

    def whole(self, split: str) -> DataLoader[Patch]:
        """The patches of a split in order, seen as in the first epoch, none left out."""
        patches = self.patches_in(split)
        order = [(0, row) for row in range(len(patches))]
        return LateLoader(patches, self.batch_size, sampler=order, num_workers=self.num_workers)

    def fingerprint(self) -> dict[str, Any]:
        """Everything that shapes what is learnt from, content of the slides included; JSON-serialisable."""
        return {
            "slides": {record.slide_id: [_content(record), record.mpp] for record in self.cohort.records()},
            "default_mpp": self.cohort.default_mpp,
            "patching": self.patcher.fingerprint(),
            "view": self.view.fingerprint(),
            "window_px": self.window_px,
            "patches_per_slide": self.patches_per_slide,
            "batch_size": self.batch_size,
            "val_fraction": self.val_fraction,
            "seed": self.seed,
            **({} if self.label is None else {"labels": self._labels}),
            **({} if self.part is None else {"part": self.part}),
        }

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint remembers: a digest of the patches it was trained with."""
        return {"data": digest(self.fingerprint())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on with other data."""
        if state_dict["data"] != digest(self.fingerprint()):
            raise ConfigError(
                "the checkpoint was trained with other slides or patches than this run has; restore data=, patching=, "
                "patches= and seed=, or start anew with ckpt_path=null"
            )

    @cached_property
    def _taking_part(self) -> frozenset[str]:
        return self._part if self.label is None else frozenset(self._labels)

    @cached_property
    def _labels(self) -> dict[str, str]:
        """Class of each slide of the part that has one; empty without a label."""
        if self.label is None:
            return {}
        values = self.cohort.labels(self.label).dropna()
        return {str(slide_id): str(value) for slide_id, value in values.items() if slide_id in self._part}

    @cached_property
    def _part(self) -> frozenset[str]:
        if self.part is None:
            return frozenset(self.cohort.table["slide_id"])
        values = self.cohort.labels(SPLIT_COLUMN)
        chosen = frozenset(values.index[values == self.part])
        if not chosen:
            there = ", ".join(sorted(values.dropna().unique()))
            raise CohortError(f"{self.cohort.name}: no slide has {SPLIT_COLUMN} = {self.part}; it has {there}")
        return chosen

    @cached_property
    def _val_patients(self) -> frozenset[str]:
        is_taking_part = self.cohort.table["slide_id"].isin(self._taking_part)
        return held_back(self.cohort.table["patient_id"][is_taking_part], self.val_fraction, self.seed)

    def _drawn(self, record: SlideRecord) -> list[PatchPlace]:
        try:
            patches = self._patches_of(record)
        except SlideError as error:
            log.warning("not learnt from: %s", error)
            return []
        order = np.random.default_rng(seed_of(self.seed, 0, record.slide_id)).permutation(len(patches))
        corners = patches.coords[np.sort(order[: self.patches_per_slide])].tolist()
        label = self.classes.index(self._labels[record.slide_id]) if self.label else -1
        return [PatchPlace(record, x, y, patches.size_px, patches.mpp, label) for x, y in corners]

    def _patches_of(self, record: SlideRecord) -> Patches:
        slide = open_slide(record.path, record.slide_id, record.mpp, self.cohort.default_mpp)
        try:
            return self.patcher.patches(slide)
        finally:
            slide.close()


def _content(record: SlideRecord) -> str:
    return slide_digest(Path(record.path)) if Path(record.path).is_file() else ""
