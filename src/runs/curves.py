"""The course of a training as one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.eval.figures import MUTED
from src.eval.training_figures import SPLIT_COLOURS


def training_curves(epochs: Sequence[Mapping[str, float]], best_epoch: int, metric: str = "accuracy") -> Figure:
    """Loss and one metric per epoch, train and val (or the test slides that it is chosen on); the chosen one is marked.

    Args:
        epochs: metrics such as `val/loss` of each epoch.
        best_epoch: position in `epochs`.
        metric: drawn beside the loss.
    """
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", metric), strict=True):
        _draw(axes, epochs, name)
        axes.axvline(best_epoch, color=MUTED, linestyle=":", linewidth=1, label=f"chosen: {best_epoch}")
    figure.axes[0].legend(frameon=False)  # every split has a loss
    return figure


def _draw(axes: Axes, epochs: Sequence[Mapping[str, float]], metric: str) -> None:
    for split, colour in SPLIT_COLOURS.items():
        values = [row.get(f"{split}/{metric}", nan) for row in epochs]
        if all(isnan(value) for value in values):
            continue
        axes.plot(values, color=colour, label=split, marker="." if len(values) < 50 else None)
    axes.set_title(metric, loc="left")
    axes.set_xlabel("epoch")
    axes.set_xlim(-0.5, len(epochs) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.spines[["top", "right"]].set_visible(False)
