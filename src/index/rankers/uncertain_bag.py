"""What one query patch has found, and how sure that is of one class: "Weighted-Uncertainty-Cal" of SISH.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `eval.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log2

import numpy as np
from jaxtyping import Float32, Float64, Int64

from src.index.rankers.classes import UNLABELLED, Classes
from src.index.rankers.merging import MergedHits
from src.interfaces import Neighbours, Rows

_N_TOP = 5


@dataclass(frozen=True)
class UncertainBag:
    """The bag of one query patch.

    Attributes:
        patch: place of the query patch among those of the query.
        hits: rows found, nearest first, those of one slide each for itself.
        shares: of each class in the bag, in the order in which the classes are met; they sum to 1.
    """

    patch: int
    hits: MergedHits
    shares: dict[int, float]

    @cached_property
    def entropy(self) -> float:
        """Of the shares, in bits; 0 where all hits have one class."""
        return sum(-share * log2(share) for share in self.shares.values())

    @cached_property
    def mean_distance(self) -> float:
        """Of the first five hits."""
        return float(self.hits.distances[:_N_TOP].astype(np.float64).mean())

    @property
    def majority(self) -> int:
        """The class with the largest share; of equal ones the first met."""
        return max(self.shares, key=lambda name: self.shares[name])

    def hits_as_lists(self) -> tuple[list[int], list[int], list[float]]:
        """Rows, slides and distances."""
        return self.hits.rows.tolist(), self.hits.slides.tolist(), self.hits.distances.tolist()

    def __len__(self) -> int:
        return len(self.hits)


def uncertain_bags(
    neighbours: Neighbours, rows: Rows, classes: Classes, weights: Float64[np.ndarray, " class"], round_up: bool
) -> list[UncertainBag]:
    """The bags that are not empty; slides without a label are in none.

    Args:
        neighbours: of each query patch.
        rows: of the index.
        classes: of its slides.
        weights: of each class.
        round_up: see `class_shares`.
    """
    bags = []
    for patch, (found, distances) in enumerate(zip(neighbours.rows, neighbours.distances, strict=True)):
        hits = _labelled(found, distances, rows, classes)
        if len(hits):
            shares = class_shares(classes.of_slide[hits.slides].tolist(), weights, round_up)
            bags.append(UncertainBag(patch, hits, shares))
    return bags


def class_shares(found: Sequence[int], weights: Float64[np.ndarray, " class"], round_up: bool) -> dict[int, float]:
    """Each class's share in the sum of weight / rank over what was found.

    Args:
        found: class of each hit, nearest first.
        weights: of each class.
        round_up: sums below 1 count as 1, as the paper says; the official code intends it and leaves them as they are.

    >>> class_shares([1, 0, 1], np.array([6.0, 3.0]), round_up=False)
    {1: 0.5714285714285714, 0: 0.42857142857142855}
    """
    sums = dict.fromkeys(found, 0.0)
    for place, name in enumerate(found):
        sums[name] += 1 / (place + 1) * float(weights[name])
    if round_up:
        sums = {name: max(1.0, value) for name, value in sums.items()}
    total = sum(sums.values())
    return {name: value / total for name, value in sums.items()}


def _labelled(
    found: Int64[np.ndarray, " k"], distances: Float32[np.ndarray, " k"], rows: Rows, classes: Classes
) -> MergedHits:
    kept = np.flatnonzero(found >= 0)
    kept = kept[classes.of_slide[rows.slide_of_row[found[kept]]] != UNLABELLED]
    return MergedHits(found[kept], rows.slide_of_row[found[kept]], distances[kept])
