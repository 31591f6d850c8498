"""Published values beside ours, wherever the cohort is the same.

A table of published values is tidy: one row per source, cohort, label, engine, metric and class. An empty label stands
for any, an empty class for all queries. Metrics have the names of src/eval/variants.py where the definition is known to
be the same; a value whose metric we do not compute stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from src.errors import ConfigError
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run

COLUMNS = ("source", "cohort", "label", "engine", "metric", "class", "value", "note")


def read_published(files: Sequence[Path]) -> pd.DataFrame:
    """The rows of all tables.

    Raises:
        ConfigError: a table without one of the columns, or a value that is no number.
    """
    tables = [_read(file) for file in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def beside_ours(published: pd.DataFrame, board: Leaderboard) -> pd.DataFrame:
    """The published rows of the cohorts that the board's finished runs searched.

    Args:
        published: as `read_published` gives it.
        board: the finished sweep.

    Returns:
        The rows, with `run` (label of our best run of that engine on that cohort; empty where there is none) and
        `ours` (its value; NaN where it does not have the metric or the class).
    """
    done = [run for run in board.runs if run.is_done]
    rows = []
    for row in published.to_dict("records"):
        same = [run for run in done if run.cohort == row["cohort"] and row["label"] in ("", run.label)]
        if same:
            run = next((run for run in same if run.name == row["engine"]), None)
            ours = None if run is None else _ours(run, row["metric"], row["class"])
            rows.append(
                {**row, "run": "" if run is None else board.label(run), "ours": np.nan if ours is None else ours}
            )
    return pd.DataFrame(rows, columns=[*COLUMNS, "run", "ours"])


def _read(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ConfigError(f"published={file}: cannot be read as CSV; expected columns {', '.join(COLUMNS)}") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise ConfigError(f"published={file}: column {missing[0]} is missing; expected {', '.join(COLUMNS)}")
    value = pd.to_numeric(table["value"], errors="coerce")
    if value.isna().any():
        line = int(value.isna().argmax()) + 2
        raise ConfigError(f"published={file}, line {line}: value is {table['value'][line - 2]!r}, expected a number")
    return table[list(COLUMNS)].assign(value=value)


def _ours(run: Run, metric: str, class_name: str) -> float | None:
    return run.per_class(metric).get(class_name) if class_name else run.value(metric)
