"""`python -m experiments.lgffem_demo.compare RUN OTHER ...`: how far the first run is from each other one.

Runs of search.py over the same queries. Differences are of the same query by both; intervals are bootstraps over
patients, all of a patient's queries drawn together, p a paired randomisation over patients.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from src.eval.statistics import bootstrap_interval, paired_permutation_test

METRICS = ("top1", "mAP@5")


def main(folders: list[Path]) -> None:
    """Print one line per other run and metric."""
    first, *others = (pd.read_parquet(folder / "per_query.parquet").set_index("query_id") for folder in folders)
    for folder, other in zip(folders[1:], others, strict=True):
        other = other.loc[first.index]
        for metric in METRICS:
            print(f"{folders[0].name} - {folder.name}, {metric}: {_difference(first, other, metric)}")


def _difference(first: pd.DataFrame, other: pd.DataFrame, metric: str) -> str:
    values, patients = [table[metric].to_numpy(dtype=np.float64) for table in (first, other)], list(first.query_patient)
    differences = values[0] - values[1]
    interval = bootstrap_interval(differences, np.zeros(len(differences), np.int64), patients)
    assert interval is not None
    p = paired_permutation_test(values[0], values[1], patients)
    return f"{differences.mean():+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}], p {p:.4f}"


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
