"""HERE's task with known classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from src.data.targets import GENE_TARGETS, REGRESSION_TARGETS
from src.models.multitask import ClassColumn, MultiTask


def here66(weights: Mapping[str, Sequence[float]] | None = None, is_effective: bool = False) -> MultiTask:
    """11 genes, class weights by name where there are any, and 55 regressions."""
    columns = [
        ClassColumn(name, ("0", "1", "2"), "2", None if weights is None else tuple(map(float, weights[name])))
        for name in GENE_TARGETS
    ]
    return MultiTask(tuple(columns), REGRESSION_TARGETS, is_effective)
