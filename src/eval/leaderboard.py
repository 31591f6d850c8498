"""Finished runs in one table: best first, every number with its interval, and whether the others are really worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from src.eval.pairs import against_first
from src.eval.run import Run
from src.eval.statistics import Interval
from src.eval.summary import CHANCE


@dataclass(frozen=True)
class Leaderboard:
    """Runs, best first by one metric; runs without a value come last, in the order given. Losses are best when low.

    Attributes:
        runs: sorted when the board is made.
        metrics: keys of all metrics, in the order of the runs' own; chance is no metric.
        sorted_by: key of the metric that orders the runs.
        p_values: of each run against the best, Holm-corrected; None where it cannot be compared.
    """

    runs: tuple[Run, ...]
    metrics: tuple[str, ...]
    sorted_by: str
    p_values: tuple[float | None, ...]

    @classmethod
    def of(cls, runs: Sequence[Run], sorted_by: str | None = None, seed: int = 0) -> Leaderboard:
        """Sort the runs and compare them with the best.

        Args:
            runs: in any order.
            sorted_by: key of a metric (`mAP@5`); the first metric of the first finished run if None.
            seed: of the permutation tests.
        """
        metrics = tuple(dict.fromkeys(key for run in runs if run.is_done for key in run.metrics if key != CHANCE))
        key = sorted_by or (metrics[0] if metrics else "")
        ordered = tuple(sorted(runs, key=lambda run: _place(run, key)))
        return cls(ordered, metrics, key, against_first(ordered, key, seed))

    @property
    def cut_offs(self) -> list[int]:
        """Every k of the metrics."""
        return sorted({k for run in self.runs for k in run.n_short})

    @property
    def shared(self) -> list[str]:
        """Overrides that all runs have in common, where there are several runs."""
        if len(self.runs) < 2:
            return []
        first, *others = self.runs
        return [override for override in first.overrides if all(override in run.overrides for run in others)]

    def own(self, run: Run) -> list[str]:
        """What tells a run from the others: its overrides that are not shared."""
        return [override for override in run.overrides if override not in self.shared]

    def label(self, run: Run) -> str:
        """The shortest name that tells a run from the others, for figures: `here, flat, nlist=128`."""
        own = [override for override in self.own(run) if override.partition("=")[2] != run.name]
        name = [run.name] if not own or len({other.name for other in self.runs}) > 1 else []
        return ", ".join([*name, *map(_short, own)])

    def table(self) -> pd.DataFrame:
        """Plain numbers, one row per run.

        A metric has columns `mAP@5`, `mAP@5_low`, `mAP@5_high`, and `mAP@5_macro` with its own; `n_short@5` counts
        the queries with fewer than five hits.
        """
        return pd.DataFrame([_record(self, run, p) for run, p in zip(self.runs, self.p_values, strict=True)])

    def classes(self) -> pd.DataFrame:
        """One row per run, metric and class, with its interval where it has one."""
        records = [
            (run.name, " ".join(run.overrides), key, name, value, *(run.class_intervals(key).get(name) or (None, None)))
            for run in self.runs
            for key in self.metrics
            for name, value in run.per_class(key).items()
        ]
        return pd.DataFrame(records, columns=["name", "overrides", "metric", "class", "value", "low", "high"])

    def best(self, key: str) -> float | None:
        """The highest value of a metric among the runs, or the lowest of a loss."""
        values = [value for run in self.runs if run.is_done and (value := run.value(key)) is not None]
        return (min if _is_loss(key) else max)(values, default=None)


def _short(override: str) -> str:
    """An option of a group by its name, a key by its last word and its value."""
    key, _, value = override.lstrip("+~").partition("=")
    is_option = "." not in key and value[:1].isalpha() and value not in ("null", "true", "false")
    return value if is_option else f"{key.rpartition('.')[2]}={value}"


def _place(run: Run, key: str) -> tuple[int, float]:
    value = run.value(key)
    if not run.is_done or value is None:
        return (1 if run.is_done else 2), 0.0
    return 0, value if _is_loss(key) else -value


def _is_loss(key: str) -> bool:
    return key.endswith("loss")


def _record(board: Leaderboard, run: Run, p: float | None) -> dict[str, Any]:
    record: dict[str, Any] = {"name": run.name, "overrides": " ".join(run.overrides), "status": run.status}
    for key in (*board.metrics, CHANCE):
        record |= {key: run.value(key), **_bounds(key, run.interval(key))}
    for key in board.metrics:
        record |= {f"{key}_macro": run.macro(key), **_bounds(f"{key}_macro", run.interval(key, "macro_ci95"))}
    n_short = {f"n_short@{k}": run.n_short.get(k) for k in board.cut_offs}
    n_queries = run.metrics.get(board.sorted_by, {}).get("n_queries")
    timing = {name: value for name, value in run.timing.items() if isinstance(value, int | float)}
    # What was asked is timed, what could be judged is counted.
    return record | {"p_against_best": p} | n_short | timing | {"n_queries": n_queries, "reason": run.reason}


def _bounds(name: str, interval: Interval | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}
