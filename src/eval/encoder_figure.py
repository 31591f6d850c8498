"""HERE's comparison of encoders: what they find against what they cost."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from src.eval import figures
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run

_GIGA = 1e9
_OF_THE_COHORT = ("data", "eval.label")
_COST = "flops_per_patch"


def accuracy_against_cost(board: Leaderboard, metric: str | None = None) -> Figure | None:
    """A metric over classes against operations per patch; the classes of all cohorts of a sweep are pooled, as in HERE.

    What is not a matter of the cohort tells the runs apart: encoders, or one encoder with several checkpoints. Encoders
    without a count (no network) are lines to compare with. None where no two encoders differ in cost.

    Args:
        board: the finished sweep.
        metric: its key; what the board is sorted by if None.
    """
    key = metric or board.sorted_by
    values: dict[str, list[float]] = {}
    gflops: dict[str, float | None] = {}
    for run in board.runs:
        classes = run.metrics.get(key, {}).get("per_class") or {}
        if run.is_done and classes:
            name = _encoder(board, run)
            values.setdefault(name, []).extend(classes.values())
            gflops[name] = run.timing[_COST] / _GIGA if run.timing.get(_COST) else None
    if len(set(gflops.values())) < 2:
        return None
    pooled = {name: np.array(single) for name, single in values.items()}
    return figures.accuracy_against_cost(f"{key}, classes", pooled, gflops)


def _encoder(board: Leaderboard, run: Run) -> str:
    own = [each for each in board.own(run) if not each.partition("=")[0].startswith(_OF_THE_COHORT)]
    return " ".join(own).removeprefix("encoder=") or run.name
