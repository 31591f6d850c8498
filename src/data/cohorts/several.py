"""Several cohorts as one, such as those whose slides were added to one index after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from src.data.cohort import Cohort


def several_cohorts(cohorts: Sequence[Cohort], label: str | None) -> Cohort:
    """The slides of all cohorts under the name of the first; a slide that stands in several is that of the first.

    Args:
        cohorts: of one kind; a label column that some lack is empty there.
        label: label column that is used where none is asked for.
    """
    table = pd.concat([cohort.table for cohort in cohorts], ignore_index=True).drop_duplicates("slide_id")
    root = Path(os.path.commonpath([cohort.root for cohort in cohorts]))
    default_mpp = next((cohort.default_mpp for cohort in cohorts if cohort.default_mpp is not None), None)
    first = cohorts[0]
    return Cohort(first.name, first.kind, table, root, label if label in table else first.label, default_mpp)
