"""A folder of feature files as a `FeatureStore`: one `<slide_id>.h5` per slide, loaded one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py

from src.data.cohort import Cohort, SlideRecord
from src.data.feature_files import read_features, read_provenance
from src.data.files import digest, slide_digest
from src.errors import FeatureFileError
from src.interfaces import SlideFeatures


@dataclass(frozen=True)
class FeatureFolder:
    """The slides of a cohort that have features in `folder`.

    Attributes:
        folder: where the files are; ours, CLAM's, TRIDENT's or STAMP's.
        records: cohort row of each slide that has at least one patch, in cohort order.
        dim: columns of every file.
    """

    folder: Path
    records: Mapping[str, SlideRecord]
    dim: int

    @property
    def slide_ids(self) -> Sequence[str]:
        """Slides that have at least one patch, in cohort order."""
        return tuple(self.records)

    def load(self, slide_id: str) -> SlideFeatures:
        """Read one slide; a file of another dimension is refused."""
        record = self._record(slide_id)
        slide = read_features(self.folder / f"{slide_id}.h5", slide_id, record.mpp)
        if slide.features.shape[1] != self.dim:
            raise FeatureFileError(
                f"{slide_id}: features have {slide.features.shape[1]} columns, the other slides in {self.folder} "
                f"have {self.dim}; extract the cohort with one encoder"
            )
        return slide

    def patient_of(self, slide_id: str) -> str:
        """Owner of the slide."""
        return self._record(slide_id).patient_id

    def digest(self) -> str:
        """Names the content: every slide, its patient, and what shaped its features."""
        return digest({slide_id: [self._content(slide_id), self.patient_of(slide_id)] for slide_id in self.slide_ids})

    def _content(self, slide_id: str) -> str:
        path = self.folder / f"{slide_id}.h5"
        return read_provenance(path).get("key") or slide_digest(path)

    def _record(self, slide_id: str) -> SlideRecord:
        if slide_id in self.records:
            return self.records[slide_id]
        raise FeatureFileError(f"{slide_id}: no features in {self.folder}; {len(self.records)} other slides have some")


def open_feature_folder(folder: Path, cohort: Cohort) -> FeatureFolder:
    """The slides of the cohort whose file in `folder` holds at least one patch.

    Raises:
        FeatureFileError: no slide of the cohort has features there.
    """
    records: dict[str, SlideRecord] = {}
    dim = 0
    for record in cohort.records():
        n_patches, columns = _shape(folder / f"{record.slide_id}.h5")
        if n_patches:
            records[record.slide_id] = record
            dim = dim or columns
    if not records:
        raise FeatureFileError(
            f"no slide of cohort {cohort.name} has features in {folder}; "
            f"expected files such as {next(cohort.records()).slide_id}.h5"
        )
    return FeatureFolder(folder, records, dim)


def _shape(path: Path) -> tuple[int, int]:
    """Rows and columns of the features, (0, 0) where there is no file; a damaged one is refused when it is loaded."""
    try:
        with h5py.File(path, "r") as file:
            shape = file["features" if "features" in file else "feats"].shape
            return (int(shape[-2]), int(shape[-1])) if len(shape) >= 2 else (0, 0)
    except (OSError, KeyError):
        return (0, 0)
