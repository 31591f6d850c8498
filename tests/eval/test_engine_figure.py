from __future__ import annotations

import numpy as np

from src.eval.engine_figure import bars_per_class
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run


def run(name: str, value: float, **per_class: float) -> Run:
    intervals = {"gland": [0.125, 0.875]} if "gland" in per_class else {}
    metric = {"value": value, "per_class": per_class, "per_class_ci95": intervals}
    return Run(name, metrics={"mAP@5": metric, "chance_top1": {"value": 0.5, "per_class": {"stroma": 0.25}}})


HERE, SISH = run("here", 0.6, gland=0.75, stroma=0.5), run("sish", 0.5, gland=0.25, stroma=0.25)


def test_every_run_has_a_bar_in_every_class_best_run_first() -> None:
    figure = bars_per_class(Leaderboard.of([SISH, HERE]))
    assert figure is not None
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gland", "stroma"]
    best, other = axes.containers
    assert (best.get_label(), other.get_label()) == ("here", "sish")
    assert [bar.get_width() for bar in best] == [0.75, 0.5]
    assert [bar.get_width() for bar in other] == [0.25, 0.25]
    assert all(
        upper.get_y() + upper.get_height() <= lower.get_y() + 1e-9 for upper, lower in zip(best, other, strict=True)
    )


def test_intervals_and_chance_are_drawn_where_they_are_known() -> None:
    figure = bars_per_class(Leaderboard.of([SISH, HERE]))
    assert figure is not None
    axes = figure.axes[0]
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines] == [[0.125, 0.875]] * 2
    chance = [np.asarray(path.vertices)[:, 0].tolist() for lines in axes.collections for path in lines.get_paths()]
    assert chance == [[0.25, 0.25]]


def test_one_run_or_one_class_is_no_comparison() -> None:
    assert bars_per_class(Leaderboard.of([HERE, Run("x", status="skipped", reason="does not fit")])) is None
    assert bars_per_class(Leaderboard.of([run("a", 0.1, gland=0.1), run("b", 0.2, gland=0.2)])) is None
