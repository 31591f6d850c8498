"""One finished run, as a leaderboard knows it: what its folder says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from src.eval.statistics import Interval

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
        cohort: its name; empty where it is not known.
        label: column that says what is relevant.
        folder: where all of this was read.
    """

    name: str
    overrides: Sequence[str] = ()
    status: str = DONE
    reason: str = ""
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)
    per_query: pd.DataFrame | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    cohort: str = ""
    label: str = ""
    folder: Path | None = None

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

    def macro(self, key: str) -> float | None:
        """One metric's mean over classes; None where the run has none."""
        macro = self.metrics.get(key, {}).get("macro")
        return None if macro is None else float(macro)

    def interval(self, key: str, of: str = "ci95") -> Interval | None:
        """One metric's interval, or that of its mean over classes (`macro_ci95`)."""
        return _interval(self.metrics.get(key, {}).get(of))

    def per_class(self, key: str) -> dict[str, float]:
        """One metric by class; empty where the run has none."""
        return dict(self.metrics.get(key, {}).get("per_class") or {})

    def class_intervals(self, key: str) -> dict[str, Interval | None]:
        """The intervals of the classes that have one."""
        found = self.metrics.get(key, {}).get("per_class_ci95") or {}
        return {name: _interval(bounds) for name, bounds in found.items()}

    @property
    def n_short(self) -> dict[int, int]:
        """Queries with fewer than k hits, by each k of the metrics."""
        counted = {key.rpartition("@")[2]: metric.get("n_short") for key, metric in self.metrics.items() if "@" in key}
        return {int(k): int(n) for k, n in counted.items() if k.isdigit() and n is not None}

    def single_values(self, key: str) -> pd.DataFrame | None:
        """The table of single values by query, where it has this metric."""
        if self.per_query is None or key not in self.per_query:
            return None
        return self.per_query.set_index("query_id")


def read_run(folder: Path) -> Run:
    """One run from its folder; a run whose status.json or metrics.json is missing did not end."""
    status = _json(folder / "status.json")
    document = _json(folder / "metrics.json")
    is_done = status.get("status") == DONE and bool(document)
    per_query = folder / "per_query.parquet"
    config = _yaml(folder / "config.yaml") or {}
    protocol = _json(folder / "protocol.json")
    return Run(
        name=_run_name(config, folder),
        overrides=_yaml(folder / ".hydra" / "overrides.yaml") or [],
        status=DONE if is_done else _status_without_result(status),
        reason=status.get("reason", "") or ("" if is_done else "it has no metrics.json"),
        metrics=document if is_done else {},
        timing=_json(folder / "timing.json"),
        per_query=pd.read_parquet(per_query) if is_done and per_query.exists() else None,
        config=config,
        cohort=protocol.get("cohort") or "",
        label=protocol.get("label") or "",
        folder=folder,
    )


def _interval(bounds: Sequence[float] | None) -> Interval | None:
    return None if bounds is None else (float(bounds[0]), float(bounds[1]))


def _status_without_result(status: Mapping[str, Any]) -> str:
    named = str(status.get("status", "killed"))
    return "failed" if named == DONE else named


def _run_name(config: Mapping[str, Any], folder: Path) -> str:
    head = str((config.get("head") or {}).get("_target_", folder.name)).rpartition(".")[2]
    return str((config.get("engine") or {}).get("name", head))


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _yaml(path: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(path)) if path.exists() else None
