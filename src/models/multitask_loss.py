"""What many targets of one slide cost: weighted cross entropy and squared error that leave out what is not known.

Source: data2intelligence/HERE_training, train.py (commit aea9856): plain sums of `CrossEntropyLoss(weight,
ignore_index, mean)` and `MSELoss`. Differs from it: where nothing of a batch counts the loss is 0, not 0 / 0, so that
sums, logs and mixed precision stay finite; the gradients are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor


def class_weights(labels: pd.Series, classes: Sequence[str]) -> tuple[float, ...]:
    """w_c = N / n_c of each class, 0 for a class without slides; N counts ignored and unknown slides too.

    Args:
        labels: class of each slide; missing where unknown.
        classes: their order is that of the result.

    >>> class_weights(pd.Series(["a", "a", "b", "ignored"]), ["a", "b", "c"])
    (2.0, 4.0, 0.0)
    """
    counts = labels.value_counts()
    return tuple(len(labels) / int(counts[name]) if name in counts else 0.0 for name in classes)


def cross_entropy(
    logits: Float[Tensor, "slide column class"],
    targets: Float[Tensor, "slide column"],
    weights: Float[Tensor, "column class"],
    is_effective: bool = False,
) -> Float[Tensor, " column"]:
    """Mean cost of each column over the slides whose class is known; 0 where none counts.

    Args:
        logits: one per class; minus infinity where a column has fewer classes than others.
        targets: position of the class; NaN where it is unknown or ignored.
        weights: cost of each class.
        is_effective: divide by the number of slides, so that a weight works on a batch of one slide too. Otherwise by
            the sum of their weights, as torch and HERE do, which cancels the weight of a single slide.
    """
    is_known = ~targets.isnan()
    position = targets.nan_to_num(0).long()[..., None]
    slide_weight = weights.expand_as(logits).gather(2, position)[..., 0] * is_known
    cost = -logits.log_softmax(2).gather(2, position)[..., 0] * slide_weight
    return _ratio(cost.sum(0), is_known.sum(0) if is_effective else slide_weight.sum(0))


def squared_error(
    values: Float[Tensor, "slide column"], targets: Float[Tensor, "slide column"]
) -> Float[Tensor, " column"]:
    """Mean squared error of each column over the slides whose target is known (not NaN); 0 where none is."""
    is_known = ~targets.isnan()
    squares = (values - targets.nan_to_num(0)) ** 2 * is_known
    return _ratio(squares.sum(0), is_known.sum(0))


def _ratio(total: Tensor, size: Tensor) -> Tensor:
    return total / torch.where(size > 0, size, 1)
