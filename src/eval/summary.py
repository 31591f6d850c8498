"""Judged rankings become numbers: metrics.json, per_query.parquet with every single value, and what was asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from src.data.files import write_json, written_whole
from src.eval.judged import Judged
from src.eval.measured import NOTHING_MEASURED
from src.eval.metrics import Values
from src.eval.protocols import RetrievalProtocol
from src.eval.statistics import Average, Bootstrap, Interval, Intervals, average_of, bootstrap_intervals
from src.eval.variants import chance_top_1, metrics_at

CHANCE = "chance_top1"
PROTOCOL_FILE = "protocol.json"


@dataclass(frozen=True)
class MetricSummary:
    """One metric over all queries.

    Attributes:
        value: the mean that defines the metric, see `average`; None where its definition leaves no query.
        average: over queries, over classes, or the median of classes.
        macro: mean over the classes that have a query.
        ci95: bootstrap interval of `value` over patients; None for fewer than two patients.
        macro_ci95: that of `macro`.
        n_queries: queries that count.
        n_short: queries with fewer than k hits.
        per_class: mean over the queries of each class that has one.
        per_class_ci95: its interval, of the classes with two patients.
    """

    value: float | None
    average: Average
    macro: float | None
    ci95: Interval | None
    macro_ci95: Interval | None
    n_queries: int
    n_short: int
    per_class: Mapping[str, float]
    per_class_ci95: Mapping[str, Interval]


def summarise(
    judged: Judged, protocol: RetrievalProtocol, measured: pd.DataFrame = NOTHING_MEASURED
) -> dict[str, MetricSummary]:
    """Every metric of the protocol by its key (`mAP@5`), in the order of the config; chance comes last.

    Args:
        judged: the rankings.
        protocol: names the metrics.
        measured: further values, found while searching, as `load_measured` gives them; they follow the metrics.
    """
    summaries = {
        key: _summary(judged, metric.values(judged, k), k, metric.average, protocol.bootstrap)
        for key, (metric, k) in metrics_at(protocol.metrics, protocol.k).items()
    }
    for key, values in _of_queries(measured, judged).items():
        summaries[key] = _summary(judged, values, 0, "queries", protocol.bootstrap)
    return summaries | {CHANCE: _summary(judged, chance_top_1(judged), 0, "queries", protocol.bootstrap)}


def per_query(judged: Judged, protocol: RetrievalProtocol, measured: pd.DataFrame = NOTHING_MEASURED) -> pd.DataFrame:
    """One row per judged query: query_id, query_patient, label, and a column of values per metric."""
    table = pd.DataFrame(
        {
            "query_id": judged.query_ids,
            "query_patient": judged.query_patients,
            "label": [judged.class_names[code] for code in judged.query_label],
        }
    )
    metrics = metrics_at(protocol.metrics, protocol.k)
    values = {key: metric.values(judged, k) for key, (metric, k) in metrics.items()}
    return table.assign(**values, **_of_queries(measured, judged))


def write_results(
    folder: Path,
    judged: Judged,
    protocol: RetrievalProtocol,
    measured: pd.DataFrame = NOTHING_MEASURED,
    cohort: str | None = None,
) -> dict[str, MetricSummary]:
    """Write metrics.json, per_query.parquet and protocol.json into a run's folder, and give the summaries back."""
    summaries = summarise(judged, protocol, measured)
    with written_whole(folder / "per_query.parquet") as temporary:
        per_query(judged, protocol, measured).to_parquet(temporary, index=False)
    asked = {"cohort": cohort, "n_queries": len(judged), "dropped": dict(judged.dropped)}
    write_json(
        folder / PROTOCOL_FILE,
        {"protocol": protocol.name, "unit": protocol.unit, "label": protocol.label, **protocol.narrowed(), **asked},
    )
    write_json(folder / "metrics.json", {key: asdict(summary) for key, summary in summaries.items()})
    return summaries


def _of_queries(measured: pd.DataFrame, judged: Judged) -> dict[str, Values]:
    """Columns of measured values in the order of the judged queries."""
    values = measured.reindex(judged.query_ids)
    return {str(key): values[key].to_numpy(dtype=np.float64) for key in values}


def _summary(judged: Judged, values: Values, k: int, average: Average, bootstrap: Bootstrap) -> MetricSummary:
    label = judged.query_label
    drawn = bootstrap_intervals(values, label, judged.query_patients, (average, "classes"), bootstrap)
    intervals = drawn or Intervals({}, {})
    return MetricSummary(
        value=_number(average_of(values, label, average)),
        average=average,
        macro=_number(average_of(values, label, "classes")),
        ci95=intervals.averages.get(average),
        macro_ci95=intervals.averages.get("classes"),
        n_queries=int((~np.isnan(values)).sum()),
        n_short=int((judged.n_hits < k).sum()),
        per_class=_per_class(judged, values),
        per_class_ci95={judged.class_names[code]: interval for code, interval in intervals.classes.items()},
    )


def _per_class(judged: Judged, values: Values) -> dict[str, float]:
    of_class = {name: values[judged.query_label == code] for code, name in enumerate(judged.class_names)}
    counted = {name: some[~np.isnan(some)] for name, some in of_class.items()}
    return {name: float(some.mean()) for name, some in counted.items() if len(some)}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
