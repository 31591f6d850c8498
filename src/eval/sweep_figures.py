"""The figures of a sweep: each takes the leaderboard and gives None where its runs have nothing to compare.

A YAML in conf/figures names them; what it names a figure becomes the name of its PNG. HERE's figures of encoders and
indexes are boxes over classes; which class gains, and at what price, has a figure of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure

from src.eval import figures
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run


def boxes_over_classes(board: Leaderboard, metric: str | None = None) -> Figure | None:
    """One box per run over its classes, best run first; None for fewer than two runs with several classes.

    Args:
        board: the finished sweep.
        metric: its key; what the board is sorted by if None.
    """
    key = metric or board.sorted_by
    values = {board.label(run): np.array(list(classes.values())) for run, classes in _per_class(board, key)}
    return figures.boxes_per_engine(f"{key}, classes", values) if len(values) > 1 else None


def bars_of_best(board: Leaderboard, metric: str | None = None) -> Figure | None:
    """A bar per class of the best run, and a line from the lowest to the highest run of the sweep.

    Args:
        board: the finished sweep.
        metric: its key; what the board is sorted by if None.
    """
    key = metric or board.sorted_by
    found = _per_class(board, key)
    if len(found) < 2:
        return None
    best, values = found[0]
    of_class = {name: [classes[name] for _, classes in found if name in classes] for name in values}
    ranges = {name: (min(some), max(some)) for name, some in of_class.items()}
    return figures.per_class_bars(f"{key}: {board.label(best)}; line: all {len(found)} runs", values, ranges)


def speed(board: Leaderboard, metric: str | None = None) -> Figure | None:
    """Time per query against a metric, a dot per run; None for fewer than two runs that were timed.

    Args:
        board: the finished sweep.
        metric: its key; what the board is sorted by if None.
    """
    key = metric or board.sorted_by
    points = {}
    for run in board.runs:
        latency_ms, value = run.timing.get("query_median_ms"), run.value(key)
        if latency_ms and value is not None:
            points[board.label(run)] = (float(latency_ms), value)
    return figures.speed_against_accuracy(key, points) if len(points) > 1 else None


def accuracy_time_and_size(board: Leaderboard, metric: str | None = None) -> Figure | None:
    """HERE's comparison of indexes: boxes of a metric over classes, time per query and size, the largest index first.

    Runs on several cohorts are one box over all their classes. None for fewer than two indexes that were timed.

    Args:
        board: the finished sweep over `index=`.
        metric: its key; what the board is sorted by if None.
    """
    key = metric or board.sorted_by
    of_index: dict[str, list[Run]] = {}
    for run, _ in _per_class(board, key):
        index = run.choice("index")
        if index is not None and {"query_p95_ms", "index_bytes_per_row"} <= set(run.timing):
            of_index.setdefault(index, []).append(run)
    if len(of_index) < 2:
        return None
    bytes_per_row = {index: _mean(runs, "index_bytes_per_row") for index, runs in of_index.items()}
    ordered = sorted(of_index, key=lambda index: (-bytes_per_row[index], index))
    values = {index: _pooled(of_index[index], key) for index in ordered}
    latencies = {
        index: (_mean(runs, "query_median_ms"), _mean(runs, "query_p95_ms")) for index, runs in of_index.items()
    }
    return figures.accuracy_time_and_size(f"{key}, classes", values, latencies, bytes_per_row)


def _mean(runs: Sequence[Run], name: str) -> float:
    return float(np.mean([run.timing[name] for run in runs]))


def _pooled(runs: Sequence[Run], key: str) -> Float64[np.ndarray, " value"]:
    return np.array([value for run in runs for value in run.metrics[key]["per_class"].values()])


def _per_class(board: Leaderboard, key: str) -> list[tuple[Run, dict[str, float]]]:
    """Runs with two classes or more, and their values."""
    found = [(run, dict(run.metrics.get(key, {}).get("per_class") or {})) for run in board.runs]
    return [(run, classes) for run, classes in found if len(classes) > 1]
