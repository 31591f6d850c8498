"""What one query patch has found, and how sure that is of one class: "Weighted-Uncertainty-Cal" of SISH.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `eval.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log2

import numpy as np
from jaxtyping import Float32, Float64, Int64

from src.index.rankers.classes import UNLABELLED, Classes
from src.index.rankers.merging import MergedHits, first_places
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
        hits = _found(found, distances, rows)
        labels = classes.of_slide[hits.slides]
        if (labels == UNLABELLED).any():
            is_labelled = labels != UNLABELLED
            hits, labels = hits.take(np.flatnonzero(is_labelled)), labels[is_labelled]
        if len(hits):
            bags.append(UncertainBag(patch, hits, class_shares(labels, weights, round_up)))
    return bags


def class_shares(
    found: Int64[np.ndarray, " hit"], weights: Float64[np.ndarray, " class"], round_up: bool
) -> dict[int, float]:
    """Each class's share in the sum of weight / rank over what was found, in the order in which they are met.

    Args:
        found: class of each hit, nearest first.
        weights: of each class.
        round_up: sums below 1 count as 1, as the paper says; the official code intends it and leaves them as they are.

    >>> class_shares(np.array([1, 0, 1]), np.array([6.0, 3.0]), round_up=False)
    {1: 0.5714285714285714, 0: 0.42857142857142855}
    """
    sums = np.bincount(found, weights=1 / np.arange(1, len(found) + 1) * weights[found])
    met = found[np.sort(first_places(found))]
    masses = dict(zip(met.tolist(), (np.maximum(1.0, sums) if round_up else sums)[met].tolist(), strict=True))
    total = sum(masses.values())
    return {name: mass / total for name, mass in masses.items()}


def _found(found: Int64[np.ndarray, " k"], distances: Float32[np.ndarray, " k"], rows: Rows) -> MergedHits:
    n_found = int(np.count_nonzero(found >= 0))  # missing neighbours come last
    return MergedHits(found[:n_found], rows.slide_of_row[found[:n_found]], distances[:n_found])
