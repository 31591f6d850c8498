"""Which rows a query does not see: a patient's own, and slides whose columns say something else than `query.where`.

They are left out inside the search, so that a query gets `k` answers where there are as many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool
from omegaconf import DictConfig

from src.data.cohort import Cohort
from src.errors import ConfigError
from src.interfaces import Rows
from src.runs.plain import plain

_N_SHOWN = 12
_PATIENT = "patient_id"


def left_out_rows(query: DictConfig, rows: Rows, cohort: Cohort | None) -> Bool[np.ndarray, " row"] | None:
    """The rows that `query.patient` and `query.where` leave out together; None where neither is set.

    Args:
        query: the configuration's block of that name.
        rows: of the index.
        cohort: whose columns are looked at; None where it is not at hand.

    Raises:
        ConfigError: an unknown patient, column or value, or no row that is left.
    """
    own, elsewhere = _rows_of_patient(query.patient, rows), _rows_elsewhere(query, rows, cohort)
    if own is None or elsewhere is None:
        return elsewhere if own is None else own
    if (own | elsewhere).all():
        raise ConfigError(f"query.where={plain(query)['where']} leaves slides of patient {query.patient} only")
    return np.asarray(own | elsewhere)


def _rows_of_patient(patient_id: str | int | None, rows: Rows) -> Bool[np.ndarray, " row"] | None:
    if patient_id is None:
        return None
    if str(patient_id) not in rows.patient_ids:
        raise ConfigError(
            f"query.patient={patient_id} is not in the index; it has {', '.join(rows.patient_ids[:5])}, ..."
        )
    is_own = np.array([patient == str(patient_id) for patient in rows.patient_ids])
    return np.asarray(is_own[rows.slide_of_row])


def _rows_elsewhere(query: DictConfig, rows: Rows, cohort: Cohort | None) -> Bool[np.ndarray, " row"] | None:
    wanted = plain(query)["where"]
    if not wanted:
        return None
    if cohort is None:
        raise ConfigError("query.where looks at the columns of the cohort, which is not at hand; set data.table")
    is_wanted = np.ones(len(rows.slide_ids), dtype=bool)
    for column, values in wanted.items():
        found = _column(cohort, column).reindex(list(rows.slide_ids))
        is_wanted &= found.isin(_known(values, found, column)).to_numpy()
    if not is_wanted.any():
        raise ConfigError(f"query.where={wanted}: no slide of the index has all of these together")
    return np.asarray(~is_wanted[rows.slide_of_row])


def _column(cohort: Cohort, column: str) -> pd.Series:
    """The cells of a column as text, by slide_id."""
    known = [_PATIENT, *cohort.label_columns]
    if column not in known:
        raise ConfigError(f"query.where.{column}: cohort {cohort.name} has no such column; it has {_some(known)}")
    if column == _PATIENT:
        return cohort.table.set_index("slide_id")[_PATIENT]
    return cohort.labels(column)


def _known(values: object, found: pd.Series, column: str) -> list[str]:
    asked = [str(value) for value in (values if isinstance(values, list) else [values])]
    known = sorted(found.dropna().unique())
    for value in asked:
        if value not in known:
            raise ConfigError(f"query.where.{column}={value}: no slide of the index has it; they have {_some(known)}")
    return asked


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_N_SHOWN]) + (", ..." if len(names) > _N_SHOWN else "")
