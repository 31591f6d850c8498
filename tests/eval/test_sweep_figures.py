from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from src.eval.leaderboard import Leaderboard
from src.eval.run import Run
from src.eval.sweep_figures import accuracy_time_and_size, bars_of_best, boxes_over_classes, speed


def run(index: str, value: float, latency_ms: float | None = None, **per_class: float) -> Run:
    metric: dict[str, Any] = {"value": value, "per_class": per_class}
    timing = {} if latency_ms is None else {"query_median_ms": latency_ms}
    return Run("here", [f"index={index}"], metrics={"top1": {"value": 0.1}, "mAP@5": metric}, timing=timing)


FLAT = run("flat", 0.6, 8.0, gland=0.8, stroma=0.4)
HASHED = run("itq_lsh", 0.5, 2.0, gland=0.5, stroma=0.5)
TWO = Leaderboard.of([HASHED, FLAT], sorted_by="mAP@5")


def test_boxes_hold_the_classes_of_every_run_best_run_first() -> None:
    figure = boxes_over_classes(TWO)
    assert figure is not None
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["flat", "itq_lsh"]
    shown = [np.asarray(dots.get_offsets())[:, 0].tolist() for dots in axes.collections]
    assert shown == [[0.8, 0.4], [0.5, 0.5]]


def test_bars_are_the_best_run_and_lines_the_range_of_all() -> None:
    figure = bars_of_best(TWO)
    assert figure is not None
    axes = figure.axes[0]
    assert [round(bar.get_width(), 3) for bar in axes.containers[0]] == [0.8, 0.4]
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines] == [[0.5, 0.8], [0.4, 0.5]]
    assert axes.get_title(loc="left") == "mAP@5: flat; line: all 2 runs"


def test_speed_places_runs_by_their_time_and_value() -> None:
    figure = speed(TWO)
    assert figure is not None
    assert np.asarray(figure.axes[0].collections[0].get_offsets()).tolist() == [[8.0, 0.6], [2.0, 0.5]]


@pytest.mark.parametrize("draw", [boxes_over_classes, bars_of_best, speed])
def test_runs_with_nothing_to_compare_have_no_figure(draw: Any) -> None:
    alone = Leaderboard.of([FLAT, Run("here", ["index=x"], "skipped", "does not fit")], sorted_by="mAP@5")
    assert draw(alone) is None
    assert draw(Leaderboard.of([])) is None
    one_class = [run("a", 0.1, gland=0.1), run("b", 0.2, gland=0.2)]
    assert draw(Leaderboard.of(one_class, sorted_by="mAP@5")) is None


@pytest.mark.parametrize("draw", [boxes_over_classes, bars_of_best])
def test_another_metric_than_that_of_the_table_can_be_drawn(draw: Any) -> None:
    assert draw(TWO, metric="top1") is None  # no values per class
    assert draw(Leaderboard.of([HASHED, FLAT]), metric="mAP@5") is not None


def timed(index: str, cohort: str, size: float, **per_class: float) -> Run:
    timing = {"query_median_ms": 1.0, "query_p95_ms": 3.0, "index_bytes_per_row": size}
    metric = {"mAP@5": {"value": 0.5, "per_class": per_class}}
    return Run("patch_flat", [f"index={index}", f"data={cohort}"], metrics=metric, timing=timing)


def test_indexes_have_one_row_each_over_the_classes_of_all_cohorts_the_largest_first() -> None:
    runs = [
        timed("itq_lsh", "a", 8.0, gland=0.25, stroma=0.5),
        timed("flat", "a", 1024.0, gland=0.5, stroma=0.75),
        timed("flat", "b", 2048.0, x=0.125, y=1.0),
    ]
    figure = accuracy_time_and_size(Leaderboard.of(runs))
    assert figure is not None
    boxes, times, sizes = figure.axes
    assert [label.get_text() for label in boxes.get_yticklabels()] == ["flat", "itq_lsh"]
    pooled = [np.asarray(dots.get_offsets())[:, 0].tolist() for dots in boxes.collections]
    assert pooled == [[0.5, 0.75, 0.125, 1.0], [0.25, 0.5]]
    assert [text.get_text() for text in sizes.texts] == ["1,536", "8"]
    assert [text.get_text() for text in times.texts] == ["1", "1"]


def test_one_index_is_no_comparison_of_indexes() -> None:
    runs = [timed("flat", cohort, 8.0, gland=0.25, stroma=0.5) for cohort in "ab"]
    assert accuracy_time_and_size(Leaderboard.of(runs)) is None
    assert accuracy_time_and_size(TWO) is None  # without sizes
