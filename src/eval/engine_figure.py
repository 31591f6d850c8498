"""The figure of a comparison of engines: which engine finds which class."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.eval.figures import INK, MUTED, PALETTE, styled
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run
from src.eval.summary import CHANCE

_GROUP_IN = 0.8  # of the height of a class, the rest is space


@styled
def bars_per_class(board: Leaderboard, metric: str | None = None) -> Figure | None:
    """A group of bars per class, one bar per run with its interval, best run first; chance is dashed.

    Runs beyond the seven colours are left out. None for fewer than two runs with several classes.

    Args:
        board: the finished sweep.
        metric: its key; what the board is sorted by if None.
    """
    key = metric or board.sorted_by
    runs = [run for run in board.runs if len(run.per_class(key)) > 1][: len(PALETTE)]
    if len(runs) < 2:
        return None
    classes = sorted({name for run in runs for name in run.per_class(key)})
    height_in = 1.2 + (0.12 + 0.13 * len(runs)) * len(classes)
    axes = Figure(figsize=(8, height_in), layout="constrained").subplots()
    thickness = _GROUP_IN / len(runs)
    for place, run in enumerate(runs):
        rows = np.arange(len(classes)) + (place - (len(runs) - 1) / 2) * thickness
        _draw_run(axes, run, key, classes, rows, thickness, PALETTE[place], board.label(run))
    for row, name in enumerate(classes):
        _draw_chance(axes, runs[0].per_class(CHANCE).get(name), row)
    _finish(axes, key, classes)
    return axes.get_figure(root=True)


def _draw_run(
    axes: Axes, run: Run, key: str, classes: list[str], rows: np.ndarray, thickness: float, colour: str, label: str
) -> None:
    values, intervals = run.per_class(key), run.class_intervals(key)
    axes.barh(rows, [values.get(name, 0.0) for name in classes], thickness, color=colour, label=label)
    for row, name in zip(rows, classes, strict=True):
        interval = intervals.get(name)
        if interval is not None:
            axes.plot(interval, [row, row], color=INK, linewidth=0.9)


def _draw_chance(axes: Axes, chance: float | None, row: int) -> None:
    if chance is not None:
        axes.vlines(chance, row - 0.45, row + 0.45, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)


def _finish(axes: Axes, key: str, classes: list[str]) -> None:
    axes.set_title(f"{key} by class, 95 % intervals; dashed: chance of a first hit")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_ylim(len(classes) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(axis="x")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
