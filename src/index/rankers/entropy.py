"""Slides by the entropy of the bags that name them: the ranking of RetCCL.

Each query patch has a bag, all patches of the database with a cosine of at least 0.7. Bags whose first five are less
similar than those of all bags on average are dropped. Each other bag, in the order of entropy, names one slide: that of
its most similar member of its majority class. There are at most as many answers as kept bags, often fewer than `k`.

Source: Wang et al., "RetCCL: Clustering-guided contrastive learning for whole-slide image retrieval", Medical Image
Analysis 2023, whose repository holds the features only and names jacobluber/PathologySearchComparison (commit 361a27d),
`retccl/search.py`, for retrieval. That code takes the most uncertain bag first, SISH, from which the paper takes its
ranking, the most certain: `bag_order`.
Differs from the code: a query whose bags are all empty has no answer instead of an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from src.errors import ConfigError
from src.index.rankers.classes import classes_of
from src.index.rankers.merging import MergedHits, as_hits
from src.index.rankers.similarity_bag import SimilarityBag, similarity_bags
from src.interfaces import Neighbours, Ranked, Ranking, Rows

_SIGN = {"entropy_desc": 1.0, "entropy_asc": -1.0}
_ROUNDING = 1e-9


class Entropy:
    """Each kept bag names one slide; score = the bag's entropy in nats, negative where certain bags come first.

    Args:
        label: column of the cohort table whose classes are weighed.
        bag_order: most uncertain bag first (`entropy_desc`), or most certain (`entropy_asc`).
        min_cosine: similarity of a bag's members, at least.
        n_top: members of a bag that vote, and whose mean similarity decides whether it is kept.
        n_neighbours: rows that a bag may hold, which bounds memory; None for all that are similar enough.

    Raises:
        ConfigError: a setting out of range.
    """

    ranks: Ranked = "slides"
    is_exhaustive = False
    distance_unit: str | None = "1 - cosine"

    def __init__(
        self, label: str | None, bag_order: str, min_cosine: float, n_top: int, n_neighbours: int | None
    ) -> None:
        if bag_order not in _SIGN:
            raise ConfigError(f"ranking entropy: bag_order is {bag_order!r}, expected one of {', '.join(_SIGN)}")
        if not -1 <= min_cosine <= 1:
            raise ConfigError(f"ranking entropy: min_cosine is {min_cosine}, expected -1 to 1")
        if n_top < 1 or (n_neighbours is not None and n_neighbours < 1):
            raise ConfigError(
                f"ranking entropy: n_top is {n_top}, n_neighbours {n_neighbours}; expected at least 1, or null for all"
            )
        self.label = label
        self.bag_order = bag_order
        self.min_cosine = min_cosine
        self.max_distance = 1 - min_cosine + _ROUNDING
        self.n_top = n_top
        self.n_neighbours = n_neighbours

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """At most `k` slides, one per kept bag; bags of equal entropy in the order of the query's patches."""
        classes = classes_of(rows, self.label, "entropy")
        bags = self.kept(similarity_bags(neighbours, rows, classes, self.min_cosine))
        scores = _SIGN[self.bag_order] * np.array([bag.entropy(classes.weights) for bag in bags])
        order = np.argsort(-scores, kind="stable")
        named = _joined([self._named_by(bags[place]) for place in order])
        # `named` is in ranked order, so that the first time a slide is named is its best.
        _, first = np.unique(named.slides, return_index=True)
        best = np.sort(first)[:k]
        return Ranking(query_id, as_hits(named.take(best), scores[order][best], rows))

    def kept(self, bags: Sequence[SimilarityBag]) -> list[SimilarityBag]:
        """The bags that are at least as similar as all of them are on average, empty ones included in the average."""
        similarities = [bag.mean_similarity(self.n_top) for bag in bags]
        least = np.mean(similarities) - _ROUNDING  # equal bags are all kept, however their mean is rounded
        return [
            bag for bag, similarity in zip(bags, similarities, strict=True) if len(bag.hits) and similarity >= least
        ]

    def _named_by(self, bag: SimilarityBag) -> MergedHits:
        return bag.hits.take(np.array([bag.first_of_majority(self.n_top)]))


def _joined(hits: Sequence[MergedHits]) -> MergedHits:
    return MergedHits(
        np.array([row for hit in hits for row in hit.rows], dtype=np.int64),
        np.array([slide for hit in hits for slide in hit.slides], dtype=np.int64),
        np.array([distance for hit in hits for distance in hit.distances], dtype=np.float32),
    )
