"""Slides by how certain the query patches that name them are: the ranking of SISH.

Each query patch has a bag, what it found. Bags that are very small or very large are dropped, then those whose first
five are farther than those of all bags on average. The five most certain ones vote for a class, and those of them that
would say another are set aside. The other bags name their slides, the most certain bag first, then by distance.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `eval.py`. Its list ends after 5 slides (10 for organs); here it ends after `k`.
Differs from SISH: a query whose bags name no slide has no answer instead of an error; classes are counted in the
database, because the queries are not known in advance (`class_counts`); slides without a label are no answer.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from src.errors import ConfigError
from src.index.rankers.classes import Classes, classes_of
from src.index.rankers.merging import MergedHits, as_hits, first_places, joined_hits
from src.index.rankers.uncertain_bag import UncertainBag, uncertain_bags
from src.interfaces import Neighbours, Ranked, Ranking, Rows

_N_VOTERS = 5
_FEW_SIZES = 3
_SIZE_PERCENTILES = (5, 95)


class WeightedUncertainty:
    """Score = minus the entropy of the bag that names the slide, in bits.

    Args:
        label: column of the cohort table whose classes are weighed.
        weight_sum: K, what the weights of all classes sum to; it matters where sums are rounded up.
        round_up_weights: see `class_shares`.
        lost_slide_fix: a bag that is set aside does not keep others from naming its slides.
        class_counts: slides of each class, by which it is weighed; None counts those of the database.

    Raises:
        ConfigError: a setting out of range.
    """

    ranks: Ranked = "slides"
    n_neighbours: int | None = None
    is_exhaustive = False
    distance_unit: str | None = None

    def __init__(
        self,
        label: str | None,
        weight_sum: float,
        round_up_weights: bool,
        lost_slide_fix: bool,
        class_counts: Mapping[str, int] | None = None,
    ) -> None:
        if weight_sum <= 0 or min((class_counts or {"": 1}).values()) < 1:
            raise ConfigError(
                f"ranking weighted_uncertainty: weight_sum is {weight_sum}, class_counts {class_counts}; expected more "
                "than 0 and whole numbers from 1 on"
            )
        self.label = label
        self.weight_sum = weight_sum
        self.round_up_weights = round_up_weights
        self.lost_slide_fix = lost_slide_fix
        self.class_counts = class_counts

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """At most `k` slides, often fewer; equal entropies by distance, then in the order they were found."""
        bags, threshold = cleaned(self.bags(neighbours, rows))
        if not bags:
            return Ranking(query_id, ())
        named, entropies = self._named(bags, threshold, set_aside(bags))
        best = np.lexsort((named.distances, entropies))[:k]
        return Ranking(query_id, as_hits(named.take(best), 0 - entropies[best], rows))

    def bags(self, neighbours: Neighbours, rows: Rows) -> list[UncertainBag]:
        """What each query patch has found; none for those that found nothing."""
        classes = classes_of(rows, self.label, "weighted_uncertainty")
        return uncertain_bags(neighbours, rows, classes, self._weights(classes), self.round_up_weights)

    def _weights(self, classes: Classes) -> Float64[np.ndarray, " class"]:
        """K / n of each class, over the sum of 1 / n."""
        inverse = classes.weights
        if self.class_counts is not None:
            missing = [name for name in classes.names if name not in self.class_counts]
            if missing:
                raise ConfigError(
                    f"ranking weighted_uncertainty: class_counts has no {missing[0]!r}, a {self.label} of the "
                    "database; give the count of every class"
                )
            inverse = np.array([1 / self.class_counts[name] for name in classes.names])
        return np.asarray(self.weight_sum / inverse.sum() * inverse)

    def _named(
        self, bags: Sequence[UncertainBag], threshold: float, aside: Container[int]
    ) -> tuple[MergedHits, Float64[np.ndarray, " hit"]]:
        """The slides that the bags name, each by the first bag, and its entropy; those of bags set aside are lost."""
        hits = joined_hits([bag.hits for bag in bags])
        entropies, is_aside = (
            np.repeat(of_bags, [len(bag) for bag in bags])
            for of_bags in (np.array([bag.entropy for bag in bags]), np.array([bag.patch in aside for bag in bags]))
        )
        names_it = (entropies == 0) | (hits.distances.astype(np.float64) <= threshold)
        naming = np.flatnonzero(names_it & ~is_aside if self.lost_slide_fix else names_it)
        first = naming[np.sort(first_places(hits.slides[naming]))]
        kept = first[~is_aside[first]]
        return hits.take(kept), entropies[kept]


def cleaned(bags: Sequence[UncertainBag]) -> tuple[list[UncertainBag], float]:
    """The bags that are worth something, most certain first, and the mean distance that they had to keep.

    Bags of a size beyond the 5th and 95th percentile are dropped where there are more than three sizes.
    """
    sizes = [len(bag) for bag in bags]
    if len(set(sizes)) > _FEW_SIZES:
        least, most = np.percentile(sizes, _SIZE_PERCENTILES)
        bags = [bag for bag in bags if least < len(bag) < most]
    if not bags:
        return [], 0.0
    threshold = float(np.mean([bag.mean_distance for bag in bags]))
    certain_first = sorted(bags, key=lambda bag: bag.entropy)
    near = [bag for bag in certain_first if bag.mean_distance <= threshold]
    return near or certain_first, threshold  # none is near only where the mean of equal distances is rounded down


def set_aside(bags: Sequence[UncertainBag]) -> frozenset[int]:
    """Patches of those of the five most certain bags that would say another class than the five say together.

    The five vote with their shares; where no bag has the winner as its own, the next class wins.
    """
    voters = bags[:_N_VOTERS]
    votes: dict[int, float] = {}
    for bag in voters:
        for name, share in bag.shares.items():
            votes[name] = votes.get(name, 0.0) + share
    own = {bag.majority for bag in voters}
    ranked = [name for name in sorted(votes, key=lambda name: -votes[name]) if name in own]
    return frozenset(bag.patch for bag in voters if bag.majority != ranked[0])
