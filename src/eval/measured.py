"""What only a search can measure, one value per query: saved, as it cannot be computed from rankings later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from src.data.files import written_whole

MEASURED_FILE = "measured.parquet"
NOTHING_MEASURED = pd.DataFrame(index=pd.Index([], name="query_id", dtype=object))


def recall_key(k: int) -> str:
    """Name of the share of the `k` exact nearest rows that an index returned.

    >>> recall_key(10)
    'recall@10_vs_exact'
    """
    return f"recall@{k}_vs_exact"


def save_measured(folder: Path, values: Mapping[str, Mapping[str, float]]) -> None:
    """Write measured.parquet into a run's folder, or remove that of an earlier run where nothing was measured.

    Args:
        folder: of the run.
        values: metric -> query_id -> value; NaN where a query has none.
    """
    if not values:
        (folder / MEASURED_FILE).unlink(missing_ok=True)
        return
    with written_whole(folder / MEASURED_FILE) as temporary:
        pd.DataFrame(values).rename_axis("query_id").to_parquet(temporary)


def load_measured(folder: Path) -> pd.DataFrame:
    """One row per query_id, one column per metric; empty where nothing was measured."""
    path = folder / MEASURED_FILE
    return pd.read_parquet(path) if path.exists() else NOTHING_MEASURED
