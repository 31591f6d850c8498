"""What a slide or patch belongs to: its slide, its patient, or the value of a column such as a case or a site."""

from __future__ import annotations

import pandas as pd

from src.errors import CohortError

_COLUMN_OF = {"slide": "slide_id", "patient": "patient_id"}
_N_SHOWN = 10


def belonging(table: pd.DataFrame, to: str) -> pd.Series:
    """What each row belongs to, as text.

    Args:
        table: with `slide_id`, `patient_id` and the columns of the cohort table.
        to: `slide`, `patient`, or a column that no row leaves empty.

    Raises:
        CohortError: no such column, or an empty cell.

    >>> belonging(pd.DataFrame({"slide_id": ["a", "b"], "case_id": [7, 7]}), "case_id").tolist()
    ['7', '7']
    """
    owners = column_of(table, to)
    if owners.isna().any():
        raise CohortError(f"cohort: {owners.name} is empty in row {int(owners.isna().argmax())}; fill it")
    return owners.astype(str)


def column_of(table: pd.DataFrame, to: str) -> pd.Series:
    """The column that `to` names, as it is.

    Raises:
        CohortError: no such column.
    """
    name = _COLUMN_OF.get(to, to)
    if name not in table:
        shown = ", ".join([*map(str, table)][:_N_SHOWN]) + (", ..." if len(table.columns) > _N_SHOWN else "")
        raise CohortError(f"cohort: no column '{name}', which eval names; it has {shown}")
    return table[name]


def slides_of_same(table: pd.DataFrame, column: str, slide_id: str) -> set[str]:
    """Slides that have the same value in a column as one slide, that one included; none where its value is missing."""
    values = column_of(table, column)
    slide_ids = table["slide_id"].astype(str)
    return set(slide_ids[values.isin(values[slide_ids == slide_id].dropna())])
