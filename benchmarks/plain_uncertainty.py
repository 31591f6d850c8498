"""SISH's ranking of slides, hit after hit in Python.

Written from the description of mahmoodlab/SISH (commit 42fe005), `eval.py`; classes are counted in the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

import numpy as np

from benchmarks.plain import PlainHit

_WEIGHT_SUM = 10.0


class PlainBag:
    """What one patch has found: distance, slide and label, nearest first."""

    def __init__(self, hits: list[tuple[int, str, str]], weights: Mapping[str, float]) -> None:
        self.hits = hits
        sums: dict[str, float] = {}
        for place, (_, _, label) in enumerate(hits):
            weight = _WEIGHT_SUM / sum(weights.values()) * weights[label]
            sums[label] = sums.get(label, 0.0) + 1 / (place + 1) * weight
        total = sum(sums.values())
        self.shares = {label: value / total for label, value in sums.items()}
        self.entropy = sum(-share * log2(share) for share in self.shares.values())
        self.mean_distance = float(np.mean([distance for distance, _, _ in hits[:5]]))
        self.majority = max(self.shares, key=lambda label: self.shares[label])


def ranked(bags: list[PlainBag]) -> list[PlainHit]:
    """The slides that the certain and near bags name."""
    sizes = [len(bag.hits) for bag in bags]
    if len(set(sizes)) > 3:
        least, most = np.percentile(sizes, (5, 95))
        bags = [bag for bag in bags if least < len(bag.hits) < most]
    if not bags:
        return []
    threshold = float(np.mean([bag.mean_distance for bag in bags]))
    bags = [bag for bag in sorted(bags, key=lambda bag: bag.entropy) if bag.mean_distance <= threshold]
    aside = _set_aside(bags[:5])
    named: dict[str, tuple[float, int, PlainBag]] = {}
    for bag in bags:
        for distance, slide_id, _ in bag.hits:
            if slide_id not in named and (bag.entropy == 0 or distance <= threshold):
                named[slide_id] = bag.entropy, distance, bag
    kept = [(entropy, distance, slide_id) for slide_id, (entropy, distance, bag) in named.items() if bag not in aside]
    return [PlainHit(slide_id, 0 - entropy) for entropy, _, slide_id in sorted(kept, key=lambda hit: hit[:2])]


def _set_aside(voters: list[PlainBag]) -> list[PlainBag]:
    votes: dict[str, float] = {}
    for bag in voters:
        for label, share in bag.shares.items():
            votes[label] = votes.get(label, 0.0) + share
    for label in sorted(votes, key=lambda label: -votes[label]):
        if any(bag.majority == label for bag in voters):
            return [bag for bag in voters if bag.majority != label]
    return []
