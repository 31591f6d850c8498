"""A folder of feature files as a `FeatureStore`: one `<slide_id>.h5` per slide, loaded one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import h5py

from src.data.cohort import Cohort, SlideRecord
from src.data.feature_files import read_features, read_provenance
from src.data.files import digest, slide_digest
from src.errors import FeatureFileError
from src.interfaces import SlideFeatures

T = TypeVar("T")


@dataclass(frozen=True)
class FeatureFolder:
    """The slides of a cohort that have features in `folder`.

    Attributes:
        folder: where the files are; ours, CLAM's, TRIDENT's or STAMP's.
        records: cohort row of each slide that has at least one patch, in cohort order.
        dim: columns of every file.
        encoder: that the files name; empty where they name none.
    """

    folder: Path
    records: Mapping[str, SlideRecord]
    dim: int
    encoder: str = ""

    @property
    def slide_ids(self) -> Sequence[str]:
        """Slides that have at least one patch, in cohort order."""
        return tuple(self.records)

    def load(self, slide_id: str) -> SlideFeatures:
        """Read one slide; a file of another dimension is refused."""
        record = self._record(slide_id)
        slide = read_features(self._path(slide_id), slide_id, record.mpp)
        if slide.features.shape[1] != self.dim:
            raise FeatureFileError(
                f"{slide_id}: features have {slide.features.shape[1]} columns, the other slides in {self.folder} "
                f"have {self.dim}; extract the cohort with one encoder"
            )
        return slide

    def check_encoder(self, slide_id: str) -> None:
        """Raise a FeatureFileError when the slide's file names another encoder than the others do."""
        name = read_provenance(self._path(slide_id)).get("encoder", self.encoder)
        if name != self.encoder:
            raise FeatureFileError(
                f"{slide_id}: {self._path(slide_id)} holds features of {name}, those of the other slides are of "
                f"{self.encoder}; extract the cohort with one encoder"
            )

    def patient_of(self, slide_id: str) -> str:
        """Owner of the slide."""
        return self._record(slide_id).patient_id

    def digest(self) -> str:
        """Names the content: every slide, its patient, and what shaped its features."""
        return digest({slide_id: [self._content(slide_id), self.patient_of(slide_id)] for slide_id in self.slide_ids})

    def _path(self, slide_id: str) -> Path:
        return self.folder / f"{slide_id}.h5"

    def _content(self, slide_id: str) -> str:
        path = self._path(slide_id)
        return read_provenance(path).get("key") or slide_digest(path)

    def _record(self, slide_id: str) -> SlideRecord:
        if slide_id in self.records:
            return self.records[slide_id]
        if self._path(slide_id).exists():
            read_features(self._path(slide_id), slide_id)  # says what is wrong with a damaged file
            raise FeatureFileError(f"{slide_id}: {self._path(slide_id)} holds no patch; extract the slide again")
        raise FeatureFileError(f"{slide_id}: no features in {self.folder}; {len(self.records)} other slides have some")


def open_feature_folder(folder: Path, cohort: Cohort) -> FeatureFolder:
    """The slides of the cohort whose file in `folder` holds at least one patch.

    Raises:
        FeatureFileError: no slide of the cohort has features there.
    """
    records: dict[str, SlideRecord] = {}
    dims, encoders = Counter[int](), Counter[str]()
    for record in cohort.records():
        path = folder / f"{record.slide_id}.h5"
        n_patches, columns = _shape(path)
        if n_patches:
            records[record.slide_id] = record
            dims[columns] += 1
            encoders.update(filter(None, [read_provenance(path).get("encoder")]))
    if not records:
        raise FeatureFileError(
            f"no slide of cohort {cohort.name} has features in {folder}; "
            f"expected files such as {next(cohort.records()).slide_id}.h5"
        )
    return FeatureFolder(folder, records, _most_common(dims, 0), _most_common(encoders, ""))


def _most_common(counts: Counter[T], where_none: T) -> T:
    """What most slides have, so that an odd first one does not condemn the others."""
    return counts.most_common(1)[0][0] if counts else where_none


def _shape(path: Path) -> tuple[int, int]:
    """Rows and columns of the features, (0, 0) where there is no file; a damaged one is refused when it is loaded."""
    try:
        with h5py.File(path, "r") as file:
            shape = file["features" if "features" in file else "feats"].shape
            return (int(shape[-2]), int(shape[-1])) if len(shape) >= 2 else (0, 0)
    except (OSError, KeyError):
        return (0, 0)
