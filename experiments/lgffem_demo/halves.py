"""`python -m experiments.lgffem_demo.halves`: 32 demo patients, one half to learn from and the other to search.

The classes take turns among the patients, so that either half has four of each. Written beside the slides are
learnt.csv and searched.csv.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from src.data.cohorts.demo import demo_cohort
from src.data.files import write_text

FOLDER = Path("data/demo32")
N_PATIENTS = 32


def main() -> None:
    """Draw the cohort where it is missing, and write both tables."""
    table = demo_cohort(FOLDER, n_patients=N_PATIENTS, width_um=1024, height_um=768).table
    patients = table["patient_id"].drop_duplicates()
    learnt = table["patient_id"].isin(patients.head(N_PATIENTS // 2))
    columns = ["slide_id", "path", "patient_id", "mpp", "tissue", "grade"]
    for name, half in (("learnt", table[learnt]), ("searched", table[~learnt])):
        write_text(FOLDER / f"{name}.csv", half[columns].to_csv(index=False))
        _print(name, half)


def _print(name: str, half: pd.DataFrame) -> None:
    print(f"{FOLDER / name}.csv: {len(half)} slides, {half['patient_id'].nunique()} patients")


if __name__ == "__main__":
    main()
