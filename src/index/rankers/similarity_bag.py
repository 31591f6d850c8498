"""What one query patch has found: the database's patches that are similar enough, most similar first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import scipy.special
from jaxtyping import Float64, Int64

from src.index.rankers.classes import UNLABELLED, Classes
from src.index.rankers.merging import MergedHits, in_order
from src.interfaces import Neighbours, Rows


@dataclass(frozen=True)
class SimilarityBag:
    """The bag of one query patch.

    Attributes:
        hits: its members, most similar first; ties by slide_id, then x, y.
        classes: of the slide of each member.
    """

    hits: MergedHits
    classes: Int64[np.ndarray, " hit"]

    @property
    def similarities(self) -> Float64[np.ndarray, " hit"]:
        """Cosine of each member with the query patch."""
        return np.asarray(1 - self.hits.distances.astype(np.float64))

    def entropy(self, weights: Float64[np.ndarray, " class"]) -> float:
        """In nats, of the classes of the members; 0 for an empty bag. See `class_entropy`."""
        return class_entropy(self.similarities, self.classes, weights)

    def mean_similarity(self, n_top: int) -> float:
        """Of the first `n_top` members; 0 for an empty bag."""
        return float(self.similarities[:n_top].mean()) if len(self.hits) else 0.0

    def first_of_majority(self, n_top: int) -> int:
        """Place of the first member of the class that most of the first `n_top` have; of equal ones the better ranked.

        The bag is not empty.
        """
        (majority, _), *_ = Counter(self.classes[:n_top].tolist()).most_common(1)
        return int(np.argmax(self.classes == majority))


def similarity_bags(neighbours: Neighbours, rows: Rows, classes: Classes, min_cosine: float) -> list[SimilarityBag]:
    """The bag of each query patch; slides without a label are in none.

    Args:
        neighbours: distances are 1 - cosine.
        rows: of the index.
        classes: of its slides.
        min_cosine: similarity of a member, at least.
    """
    is_labelled = classes.of_slide[rows.slide_of_row[neighbours.rows]] != UNLABELLED
    is_member = is_labelled & (neighbours.rows >= 0) & (1 - neighbours.distances.astype(np.float64) >= min_cosine)
    hits = [
        in_order(found[is_in], distances[is_in], rows)
        for found, distances, is_in in zip(neighbours.rows, neighbours.distances, is_member, strict=True)
    ]
    return [SimilarityBag(members, classes.of_slide[members.slides]) for members in hits]


def class_entropy(
    similarities: Float64[np.ndarray, " hit"],
    classes: Int64[np.ndarray, " hit"],
    weights: Float64[np.ndarray, " class"],
) -> float:
    """-sum p ln p, where p_c is the share of class c in the sum of (s + 1) / 2 * w over the members.

    >>> round(class_entropy(np.array([1.0, 1.0]), np.array([0, 1]), np.array([0.5, 0.5])), 4)
    0.6931
    >>> class_entropy(np.array([0.9, 0.8]), np.array([1, 1]), np.array([0.5, 0.5]))
    0.0
    """
    if len(similarities) == 0:
        return 0.0
    mass = np.bincount(classes, weights=(similarities + 1) / 2 * weights[classes])
    return float(scipy.special.entr(mass / mass.sum()).sum())
