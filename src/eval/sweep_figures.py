"""The figures of a sweep: each takes the leaderboard and gives None where its runs have nothing to compare.

A YAML in conf/figures names them; what it names a figure becomes the name of its PNG. HERE's figures of encoders and
indexes are boxes over classes; which class gains, and at what price, has a figure of its own.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from src.eval import figures
from src.eval.leaderboard import Leaderboard, Run


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


def _per_class(board: Leaderboard, key: str) -> list[tuple[Run, dict[str, float]]]:
    """Runs with two classes or more, and their values."""
    found = [(run, dict(run.metrics.get(key, {}).get("per_class") or {})) for run in board.runs]
    return [(run, classes) for run, classes in found if len(classes) > 1]
