"""Runs that differ only in their seed or split are one group: mean and spread of every metric over them.

HERE draws five splits and shows means with their error; a single run of a small cohort tells little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.data.files import write_text
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run

REPEATS = ("seed", "bags.seed", "bags.split_seed")
"""Keys that repeat an experiment; any other key makes another one."""


@dataclass(frozen=True)
class Group:
    """Finished runs of one experiment.

    Attributes:
        name: what tells the group from the others.
        runs: at least one.
    """

    name: str
    runs: tuple[Run, ...]

    def values(self, key: str) -> list[float]:
        """A metric of the runs that have it."""
        return [value for run in self.runs if (value := run.value(key)) is not None]

    def per_class(self, key: str) -> dict[str, list[float]]:
        """A metric of each class, of the runs in which it could be judged."""
        values: dict[str, list[float]] = {}
        for run in self.runs:
            for name, value in (run.metrics.get(key, {}).get("per_class") or {}).items():
                values.setdefault(name, []).append(value)
        return values


def groups_of(board: Leaderboard) -> list[Group]:
    """The groups in the order of the board, each at the place of its best run."""
    members: dict[tuple[str, ...], list[Run]] = {}
    for run in board.runs:
        if run.is_done:
            members.setdefault((run.name, *_kept(run.overrides)), []).append(run)
    shared = [override for override in next(iter(members), ()) if all(override in key for key in members)]
    shown = {key: [part for part in key if part not in shared] for key in members}
    return [Group(", ".join(shown[key]) or key[0], tuple(runs)) for key, runs in members.items()]


def group_table(groups: Sequence[Group], metrics: Sequence[str]) -> pd.DataFrame:
    """One row per group, metric and class (empty: all): n_runs, mean, sd (of a sample), low, high and every value."""
    return pd.DataFrame([row for group in groups for key in metrics for row in _rows(group, key)])


def write_groups(board: Leaderboard, folder: Path) -> pd.DataFrame | None:
    """Write groups.csv, and groups.md with the metrics that sum up the test slides.

    Args:
        board: the finished sweep.
        folder: of the sweep.

    Returns:
        The table; None where no group has two runs.
    """
    groups = groups_of(board)
    if not any(len(group.runs) > 1 for group in groups):
        return None
    table = group_table(groups, board.metrics)
    write_text(folder / "groups.csv", table.to_csv(index=False))
    write_text(folder / "groups.md", _markdown(groups, tested(board)))
    return table


def tested(board: Leaderboard) -> list[str]:
    """Metrics of all test slides, or all metrics of a sweep that trained nothing."""
    keys = [key for key in board.metrics if key.startswith(("test/", "selected_on_test/"))]
    return keys or list(board.metrics)


def _kept(overrides: Sequence[str]) -> list[str]:
    return [override for override in overrides if override.partition("=")[0] not in REPEATS]


def _rows(group: Group, key: str) -> Iterator[Mapping[str, Any]]:
    for name, values in {"": group.values(key), **group.per_class(key)}.items():
        if values:
            yield {"group": group.name, "metric": key, "class": name, **_spread(values)}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {
        "n_runs": len(values),
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "low": min(values),
        "high": max(values),
        "values": " ".join(f"{value:.4f}" for value in values),
    }


def _markdown(groups: Sequence[Group], metrics: Sequence[str]) -> str:
    """Mean ± standard deviation over the runs of a group."""
    rows = [["group", "runs", *metrics], ["---", *["---:"] * (1 + len(metrics))]]
    rows += [[group.name, str(len(group.runs)), *(_cell(group.values(key)) for key in metrics)] for group in groups]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")
