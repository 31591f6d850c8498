"""The figures of a sweep of trainings: curves over the splits, boxes per gene and gene set, groups side by side.

Source: the figures of HERE's training (bioRxiv 10.1101/2025.10.25.684566): train and test curves as means of five
splits, and boxes of AUC per gene. Differs from it: the second curve is val, unless the epoch is chosen on test.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.eval import figures
from src.eval.groups import Group, groups_of, tested
from src.eval.leaderboard import Leaderboard

EPOCHS_FILE = "epochs.csv"
SPLIT_COLOURS = {"train": figures.MUTED, "val": figures.ACCENT, "selected_on_test": figures.PALETTE[5]}
_ROW_IN = 0.3  # height of a box
_MOST_GROUPS = 12


@figures.styled
def curves(board: Leaderboard, metrics: Sequence[str] | None = None) -> Figure | None:
    """Metrics per epoch of the best group, train and val: the mean of its runs and the band of one deviation.

    Args:
        board: the finished sweep.
        metrics: such as `loss` or `TP53_cls/auc`; loss and what the board is sorted by if None.
    """
    group = next(iter(groups_of(board)), None)
    epochs = [] if group is None else _epochs(group)
    if group is None or len(epochs) < 2:
        return None
    names = metrics or ("loss", board.sorted_by.rpartition("/")[2])
    figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        _draw_curves(axes, epochs, name)
    figure.suptitle(f"{group.name}: mean and deviation of {len(epochs)} runs", x=0.01, ha="left", fontsize=10)
    figure.axes[-1].legend()
    return figure


def boxes_per_class(board: Leaderboard, score: str, chance: float) -> Figure | None:
    """One box per target over the runs of the best group, best target first; None for fewer than two runs.

    Args:
        board: the finished sweep.
        score: of a target, such as `auc` or `spearman`.
        chance: its value without knowledge, drawn dashed.
    """
    group = next((group for group in groups_of(board) if len(group.runs) > 1), None)
    key = next((key for key in tested(board) if key.endswith(f"/{score}")), "")
    values = {} if group is None else group.per_class(key)
    if group is None or not values:
        return None
    ordered = sorted(values, key=lambda name: -float(np.mean(values[name])))
    boxes = {_plain(name): np.array(values[name]) for name in ordered}
    figure = figures.boxes_per_engine(f"{key}, {len(group.runs)} runs of {group.name}", boxes, row_in=_ROW_IN)
    _draw_chance(figure.axes[0], chance)
    return figure


def groups_compared(board: Leaderboard, score: str) -> Figure | None:
    """One box per group over its runs, best group first; None for fewer than two groups.

    Args:
        board: the finished sweep.
        score: of the test slides, such as `overall`, or `auc`, which is the mean over the genes.
    """
    key = next((key for key in tested(board) if key.endswith(f"/{score}")), "")
    values = {group.name: np.array(group.values(key)) for group in groups_of(board) if group.values(key)}
    if len(values) < 2:
        return None
    ordered = sorted(values, key=lambda name: -float(values[name].mean()))[:_MOST_GROUPS]
    return figures.boxes_per_engine(f"{key}, every run", {name: values[name] for name in ordered})


def _epochs(group: Group) -> list[pd.DataFrame]:
    paths = [Path(run.config.get("paths", {}).get("run_dir", ".")) / EPOCHS_FILE for run in group.runs]
    return [pd.read_csv(path) for path in paths if path.exists()]


def _draw_curves(axes: Axes, epochs: Sequence[pd.DataFrame], name: str) -> None:
    for split, colour in SPLIT_COLOURS.items():
        key = f"{split}/{name}"
        columns = [table[key] for table in epochs if key in table]
        if not columns:
            continue
        values = pd.concat(columns, axis=1)
        mean, deviation = values.mean(axis=1), values.std(axis=1).fillna(0)
        axes.plot(mean.index, mean, color=colour, label=split)
        axes.fill_between(mean.index, mean - deviation, mean + deviation, color=colour, alpha=0.18, linewidth=0)
    axes.set_title(name)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")


def _draw_chance(axes: Axes, chance: float) -> None:
    axes.axvline(chance, color=figures.MUTED, linestyle=(0, (4, 3)), linewidth=1.2, zorder=0)


def _plain(target: str) -> str:
    """A target's name as a reader knows it: without what all of HERE's targets have in common."""
    return target.removesuffix("_cls").removeprefix("HALLMARK_").removesuffix("_sum")
