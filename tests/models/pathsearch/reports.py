"""Slides of two classes, and reports that name the class."""

from __future__ import annotations

import pandas as pd

from src.models.pathsearch.pairs import SlideReportPairs
from tests.models.bags import MemoryStore, cohort_of


def pairs(n_patients: int = 16, **changes: object) -> SlideReportPairs:
    """Two slides per patient, whose reports are the class and the patient."""
    labels, patients = cohort_of(n_patients)
    reports = "a " + labels.astype(str) + " tissue of " + patients.astype(str)
    settings = {
        "split": None,
        "n_patches": 8,
        "n_clusters": 2,
        "batch_size": 8,
        "fractions": (0.5, 0.25, 0.25),
        "seed": 0,
        "split_seed": 0,
        "official_cached_sample": False,
        "official_test_selection": False,
        "official_leave_out": False,
        "num_workers": 0,
    }
    reports = pd.Series(reports, dtype=object)
    return SlideReportPairs(MemoryStore(labels, patients), reports, labels, patients, **{**settings, **changes})  # type: ignore[arg-type]
