from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection

from src.eval.encoder_figure import accuracy_against_cost
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run

KEY = "here/mAP@5"


def run(encoder: str, cohort: str, flops: float | None, **per_class: float) -> Run:
    metric: dict[str, Any] = {"value": float(np.median(list(per_class.values()))), "per_class": per_class}
    overrides = [f"encoder={encoder}", f"data={cohort}", f"data.root={cohort}", f"eval.label=of_{cohort}", "k=5"]
    return Run("patch_flat", overrides, metrics={KEY: metric}, timing={"flops_per_patch": flops})


BOARD = Leaderboard.of(
    [
        run("large", "colon", 2e11, tumor=0.9, stroma=0.5),
        run("large", "breast", 2e11, dead=0.1),
        run("small", "colon", 1e9, tumor=0.4, stroma=0.2),
        run("floor", "colon", None, tumor=0.3, stroma=0.1),
    ]
)


def test_classes_of_all_cohorts_are_pooled_at_the_cost_of_their_encoder() -> None:
    figure = accuracy_against_cost(BOARD)
    assert figure is not None
    axes = figure.axes[0]
    dots = [np.asarray(c.get_offsets())[0].tolist() for c in axes.collections if isinstance(c, PathCollection)]
    assert sorted(dots) == [[1.0, pytest.approx(0.3)], [200.0, 0.5]]
    assert {text.get_text() for text in axes.texts} >= {"large 0.50", "small 0.30", "floor 0.20"}


def test_ranges_go_from_the_worst_class_to_the_best() -> None:
    figure = accuracy_against_cost(BOARD)
    assert figure is not None
    lines = [c.get_segments()[0][:, 1].tolist() for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert [0.1, 0.9] in lines


def test_encoders_of_one_cost_have_no_figure() -> None:
    same = [run(name, "colon", 1e9, tumor=0.4, stroma=0.2) for name in ("a", "b")]
    assert accuracy_against_cost(Leaderboard.of(same)) is None
    assert accuracy_against_cost(Leaderboard.of([])) is None


def test_checkpoints_of_one_encoder_are_told_apart() -> None:
    first, second = run("large", "colon", 2e11, a=0.1), run("large", "colon", 2e11, a=0.9)
    first = Run(
        first.name, [*first.overrides, "encoder.checkpoint=old.pth"], metrics=first.metrics, timing=first.timing
    )
    second = Run(second.name, [*second.overrides, "encoder.checkpoint=new.pth"], metrics=second.metrics, timing={})
    figure = accuracy_against_cost(Leaderboard.of([first, second]))
    assert figure is not None
    shown = {text.get_text() for text in figure.axes[0].texts}
    assert {"encoder.checkpoint=old.pth 0.10", "encoder.checkpoint=new.pth 0.90"} <= shown
