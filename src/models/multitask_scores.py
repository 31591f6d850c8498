"""How many targets of a slide are judged: AUC and F1 per class column, correlations and errors per number.

Source: data2intelligence/HERE_training, utils.py (commit aea9856). Slides of the ignored class are left out, a task
that cannot be judged (one class only, no variance) is skipped, and the overall score is the sum of all areas and
Spearman correlations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, isnan, nan

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

Vector = Float[np.ndarray, " slide"]
Scores = dict[str, float]


def area_under_roc(scores: Vector, is_positive: Bool[np.ndarray, " slide"]) -> float:
    """Share of (positive, negative) pairs in the right order, ties as half; NaN without both kinds.

    >>> area_under_roc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    n_positive = int(is_positive.sum())
    n_pairs = n_positive * (len(scores) - n_positive)
    if not n_pairs:
        return nan
    ranks = rankdata(scores)
    return float((ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2) / n_pairs)


def class_area(probabilities: Float[np.ndarray, "slide class"], targets: Vector, judged: Sequence[int]) -> float:
    """Area of two judged classes by p_1 - p_0, of more as the mean of one against the rest; NaN where undefined.

    Args:
        probabilities: over all classes, the ignored one included.
        targets: position of the class; NaN where it does not count.
        judged: positions of the classes that are not ignored.
    """
    is_known = ~np.isnan(targets)
    p, y = probabilities[is_known], targets[is_known]
    if len(judged) == 2:
        # HERE takes the softmax of (p_0, p_1) once more, which has the order of p_1 - p_0.
        return area_under_roc(p[:, judged[1]] - p[:, judged[0]], y == judged[1])
    areas = [area_under_roc(p[:, name], y == name) for name in judged]
    defined = [area for area in areas if isfinite(area)]
    return float(np.mean(defined)) if defined else nan


def class_scores(probabilities: Float[np.ndarray, "slide class"], targets: Vector, judged: Sequence[int]) -> Scores:
    """`auc` of `class_area` and `f1_*` of `f1_scores`; empty where fewer than two of the judged classes are present."""
    area = class_area(probabilities, targets, judged)
    return {} if isnan(area) else {"auc": area, **f1_scores(probabilities, targets, judged)}


def f1_scores(probabilities: Float[np.ndarray, "slide class"], targets: Vector, judged: Sequence[int]) -> Scores:
    """F1 of the most probable class: over all decisions (micro), mean of the classes, and weighted by their slides.

    A slide may be called by the ignored class, which is a miss of its own class.

    >>> f1_scores(np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), np.array([0.0, 1.0, 0.0]), (0, 1))
    {'f1_micro': 0.6666666666666666, 'f1_macro': 0.6666666666666666, 'f1_weighted': 0.6666666666666666}
    """
    is_known = ~np.isnan(targets)
    called, y = probabilities[is_known].argmax(axis=1), targets[is_known]
    n_right, n_called, n_true = np.array(
        [[np.sum((called == name) & (y == name)), np.sum(called == name), np.sum(y == name)] for name in judged]
    ).T
    f1 = 2 * n_right / np.maximum(n_called + n_true, 1)
    return {
        "f1_micro": float(2 * n_right.sum() / (n_called + n_true).sum()),
        "f1_macro": float(f1.mean()),
        "f1_weighted": float(np.average(f1, weights=n_true)),
    }


def number_scores(values: Vector, targets: Vector) -> Scores:
    """Spearman and Pearson correlation, R^2 = 1 - SSE / SST and the mean squared error; NaN where undefined.

    Args:
        values: as predicted.
        targets: NaN where unknown.
    """
    is_known = ~np.isnan(targets)
    x, y = values[is_known].astype(np.float64), targets[is_known].astype(np.float64)
    if not len(y):
        return dict.fromkeys(("spearman", "pearson", "r2", "mse"), nan)
    mse = float(np.mean((x - y) ** 2))
    return {
        "spearman": _correlation(rankdata(x), rankdata(y)),
        "pearson": _correlation(x, y),
        "r2": 1 - mse / float(np.var(y)) if np.ptp(y) else nan,
        "mse": mse,
    }


class MultiTaskScores(Metric):
    """`<task>/auc` and `f1_*` per classification, `spearman`, `pearson`, `r2` and `mse` per regression, and `overall`.

    What cannot be judged is left out; `overall` is NaN where nothing can.

    Args:
        classification: by name, the number of classes and the positions of those that are judged.
        regression: names.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    predictions: list[Tensor]
    targets: list[Tensor]

    def __init__(self, classification: Mapping[str, tuple[int, tuple[int, ...]]], regression: Sequence[str]) -> None:
        super().__init__()
        self.classification = dict(classification)
        self.regression = tuple(regression)
        self.add_state("predictions", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Float[Tensor, "slide output"], targets: Float[Tensor, "slide task"]) -> None:
        """Take in some slides: probabilities, then numbers."""
        self.predictions.append(predictions)
        self.targets.append(targets)

    def compute(self) -> dict[str, Tensor]:
        """The scores of all slides taken in."""
        predictions, targets = (_array(dim_zero_cat(part)) for part in (self.predictions, self.targets))
        scores = self._class_scores(predictions, targets) | self._number_scores(predictions, targets)
        defined = {name: value for name, value in scores.items() if isfinite(value)}
        ranked = [value for name, value in defined.items() if name.endswith(("/auc", "/spearman"))]
        defined["overall"] = sum(ranked) if ranked else nan
        return {name: torch.tensor(value) for name, value in defined.items()}

    def _class_scores(self, predictions: np.ndarray, targets: np.ndarray) -> Scores:
        scores: Scores = {}
        start = 0
        for i, (name, (n_classes, judged)) in enumerate(self.classification.items()):
            part = predictions[:, start : start + n_classes]
            scores |= {f"{name}/{score}": value for score, value in class_scores(part, targets[:, i], judged).items()}
            start += n_classes
        return scores

    def _number_scores(self, predictions: np.ndarray, targets: np.ndarray) -> Scores:
        n = len(self.regression)
        values, known = (array.T[array.shape[1] - n :] for array in (predictions, targets))
        columns = zip(self.regression, values, known, strict=True)
        return {f"{name}/{score}": value for name, x, y in columns for score, value in number_scores(x, y).items()}


def _correlation(x: Vector, y: Vector) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) and np.ptp(y) else nan


def _array(values: Tensor) -> np.ndarray:
    array: np.ndarray = values.cpu().double().numpy()
    return array
