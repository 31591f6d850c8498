"""Finished runs in one table: best first, every number with its interval, and whether the others are really worse."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from src.eval.statistics import holm, paired_permutation_test
from src.eval.summary import CHANCE

DONE = "ok"


@dataclass(frozen=True)
class Run:
    """What is known of one run.

    Attributes:
        name: of the engine, or of the head that was trained.
        overrides: what the command line changed, as `key=value`.
        status: `ok`, or anything else for a run without a result.
        reason: why there is no result.
        metrics: key -> summary, as metrics.json has them.
        timing: name (with its unit at the end) -> value.
        per_query: the table of single values, where it was saved.
        config: the whole configuration of the run.
    """

    name: str
    overrides: Sequence[str] = ()
    status: str = DONE
    reason: str = ""
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)
    per_query: pd.DataFrame | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status == DONE and not self.metrics:
            raise ValueError(f"run {self.name}: status is {DONE}, but there are no metrics")

    @property
    def is_done(self) -> bool:
        """Whether the run has a result."""
        return self.status == DONE

    def choice(self, group: str) -> str | None:
        """What the command line said of a group or key; None where it said nothing."""
        said = dict(override.partition("=")[::2] for override in self.overrides)
        return said.get(group)

    def value(self, key: str) -> float | None:
        """One metric's value; None where the run has none."""
        value = self.metrics.get(key, {}).get("value")
        return None if value is None else float(value)


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
        return cls(ordered, metrics, key, _against_best(ordered, key, seed))

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
        """Plain numbers, one row per run: a metric has columns `mAP@5`, `mAP@5_low`, `mAP@5_high`."""
        return pd.DataFrame([_record(self, run, p) for run, p in zip(self.runs, self.p_values, strict=True)])

    def classes(self) -> pd.DataFrame:
        """One row per run, metric and class."""
        records = [
            {"name": run.name, "overrides": " ".join(run.overrides), "metric": key, "class": name, "value": value}
            for run in self.runs
            for key in self.metrics
            for name, value in (run.metrics.get(key, {}).get("per_class") or {}).items()
        ]
        return pd.DataFrame(records, columns=["name", "overrides", "metric", "class", "value"])

    def best(self, key: str) -> float | None:
        """The highest value of a metric among the runs, or the lowest of a loss."""
        values = [value for run in self.runs if run.is_done and (value := run.value(key)) is not None]
        return (min if _is_loss(key) else max)(values, default=None)


def read_run(folder: Path) -> Run:
    """One run from its folder; a run whose status.json or metrics.json is missing did not end."""
    status = _json(folder / "status.json")
    document = _json(folder / "metrics.json")
    is_done = status.get("status") == DONE and bool(document)
    per_query = folder / "per_query.parquet"
    config = _yaml(folder / "config.yaml") or {}
    return Run(
        name=_run_name(config, folder),
        overrides=_yaml(folder / ".hydra" / "overrides.yaml") or [],
        status=DONE if is_done else _status_without_result(status),
        reason=status.get("reason", "") or ("" if is_done else "it has no metrics.json"),
        metrics=document if is_done else {},
        timing=_json(folder / "timing.json"),
        per_query=pd.read_parquet(per_query) if is_done and per_query.exists() else None,
        config=config,
    )


def _status_without_result(status: Mapping[str, Any]) -> str:
    named = str(status.get("status", "killed"))
    return "failed" if named == DONE else named


def _run_name(config: Mapping[str, Any], folder: Path) -> str:
    head = str((config.get("head") or {}).get("_target_", folder.name)).rpartition(".")[2]
    return str((config.get("engine") or {}).get("name", head))


def _short(override: str) -> str:
    """An option of a group by its name, a key by its last word and its value."""
    key, _, value = override.lstrip("+~").partition("=")
    is_option = "." not in key and value[:1].isalpha() and value not in ("null", "true", "false")
    return value if is_option else f"{key.rpartition('.')[2]}={value}"


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _yaml(path: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(path)) if path.exists() else None


def _place(run: Run, key: str) -> tuple[int, float]:
    value = run.value(key)
    if not run.is_done or value is None:
        return (1 if run.is_done else 2), 0.0
    return 0, value if _is_loss(key) else -value


def _is_loss(key: str) -> bool:
    return key.endswith("loss")


def _against_best(runs: Sequence[Run], key: str, seed: int) -> tuple[float | None, ...]:
    """Each run's p against the first, over the mean of all queries; None where they answer different queries."""
    best = _values(runs[0], key) if runs else None
    raw = {}
    for place, run in enumerate(runs[1:], start=1):
        other = _values(run, key)
        if best is not None and other is not None and best.index.sort_values().equals(other.index.sort_values()):
            b = other.loc[best.index]
            patients = best["query_patient"].tolist()
            raw[place] = paired_permutation_test(best[key].to_numpy(), b[key].to_numpy(), patients, seed=seed)
    corrected = dict(zip(raw, holm(list(raw.values())), strict=True))
    return tuple(corrected.get(place) for place in range(len(runs)))


def _values(run: Run, key: str) -> pd.DataFrame | None:
    """The run's single values of one metric by query, where it has them."""
    if run.per_query is None or key not in run.per_query:
        return None
    return run.per_query.set_index("query_id")


def _record(board: Leaderboard, run: Run, p: float | None) -> dict[str, Any]:
    record: dict[str, Any] = {"name": run.name, "overrides": " ".join(run.overrides), "status": run.status}
    for key in (*board.metrics, CHANCE):
        low, high = run.metrics.get(key, {}).get("ci95") or (None, None)
        record |= {key: run.value(key), f"{key}_low": low, f"{key}_high": high}
    n_queries = run.metrics.get(board.sorted_by, {}).get("n_queries")
    timing = {name: value for name, value in run.timing.items() if isinstance(value, int | float)}
    # What was asked is timed, what could be judged is counted.
    return record | {"p_against_best": p} | timing | {"n_queries": n_queries, "reason": run.reason}
