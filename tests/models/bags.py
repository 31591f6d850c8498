"""A cohort in memory whose classes can be learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from src.interfaces import SlideFeatures


class MemoryStore:
    """Random patches, of which a third point in the direction of the slide's class.

    Args:
        labels: class of each slide, by slide_id.
        patients: owner of each slide, by slide_id.
        dim: columns of the features.
        signal: how far those patches are from the others; 0 makes the classes the same.
    """

    def __init__(self, labels: pd.Series, patients: pd.Series, dim: int = 8, signal: float = 4.0) -> None:
        self.dim = dim
        self.labels = labels
        self.patients = patients
        self.signal = signal
        self.n_loads = 0

    @property
    def slide_ids(self) -> Sequence[str]:
        return tuple(self.labels.index)

    def load(self, slide_id: str) -> SlideFeatures:
        self.n_loads += 1
        row = self.slide_ids.index(slide_id)
        rng = np.random.default_rng(row)
        features = rng.normal(size=(12 + row % 5, self.dim)).astype(np.float32)
        column = sorted(set(self.labels.dropna())).index(self.labels[slide_id])
        features[::3, column] += self.signal
        coords = np.stack([np.arange(len(features)), np.zeros(len(features))], axis=1).astype(np.int64)
        return SlideFeatures(slide_id, coords, features, (256, 256), 0.5)

    def patient_of(self, slide_id: str) -> str:
        return str(self.patients[slide_id])


def cohort_of(n_patients: int, classes: Sequence[str] = ("benign", "tumour")) -> tuple[pd.Series, pd.Series]:
    """Labels and owners: two slides per patient, both of one class, the classes taking turns."""
    slide_ids = [f"p{patient:02d}-s{slide}" for patient in range(n_patients) for slide in range(2)]
    labels = [classes[patient % len(classes)] for patient in range(n_patients) for _ in range(2)]
    return (
        pd.Series(labels, index=slide_ids, dtype=object),
        pd.Series([slide_id.split("-")[0] for slide_id in slide_ids], index=slide_ids, dtype=object),
    )
