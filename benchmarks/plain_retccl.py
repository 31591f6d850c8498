"""RetCCL's retrieval as the code of the comparison study computes it: a cosine per row of a table, twice, in Python.

Written from the description of jacobluber/PathologySearchComparison (commit 361a27d), `retccl/search.py`.
"""

from __future__ import annotations

from collections import Counter
from math import log

import numpy as np
import pandas as pd
from jaxtyping import Float32

from benchmarks.plain import PlainHit, PlainSlide, class_weights

_MIN_COSINE = 0.7
_N_TOP = 5
_ROUNDING = 1e-9


class PlainRetccl:
    """Each bag of similar patches names a slide, the most uncertain bag first."""

    def __init__(self, database: list[PlainSlide]) -> None:
        self._table = pd.DataFrame(
            [
                {"slide": slide.slide_id, "patient": slide.patient_id, "label": slide.label, "feature": feature}
                for slide in database
                for feature in slide.features
            ]
        )
        self._weights = class_weights(database)

    def rank(self, query: PlainSlide, k: int) -> list[PlainHit]:
        """At most one slide per bag that is as similar as all bags on average."""
        others = self._table[self._table["patient"] != query.patient_id]
        bags = [_bag(feature, others) for feature in query.features]
        similarities = [float(np.mean([cosine for cosine, _, _ in bag[:_N_TOP]])) if bag else 0.0 for bag in bags]
        least = np.mean(similarities) - _ROUNDING
        kept = [bag for bag, similarity in zip(bags, similarities, strict=True) if bag and similarity >= least]
        entropies = [self._entropy(bag) for bag in kept]
        named: dict[str, float] = {}
        for place in sorted(range(len(kept)), key=lambda place: -entropies[place]):
            named.setdefault(_named_by(kept[place]), entropies[place])
        return [PlainHit(slide_id, entropy) for slide_id, entropy in list(named.items())[:k]]

    def _entropy(self, bag: list[tuple[float, str, str]]) -> float:
        masses: dict[str, float] = {}
        for cosine, _, label in bag:
            masses[label] = masses.get(label, 0.0) + (cosine + 1) / 2 * self._weights[label]
        total = sum(masses.values())
        return -sum(mass / total * log(mass / total) for mass in masses.values())


def _bag(feature: Float32[np.ndarray, " feature"], table: pd.DataFrame) -> list[tuple[float, str, str]]:
    """Cosine, slide and label of the similar rows, most similar first."""
    near = [
        (_cosine(feature, row["feature"]), row["slide"], row["label"])
        for _, row in table.iterrows()
        if _cosine(feature, row["feature"]) >= _MIN_COSINE
    ]
    return sorted(near, key=lambda member: -member[0])


def _cosine(a: Float32[np.ndarray, " feature"], b: Float32[np.ndarray, " feature"]) -> float:
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def _named_by(bag: list[tuple[float, str, str]]) -> str:
    ((majority, _),) = Counter(label for _, _, label in bag[:_N_TOP]).most_common(1)
    return next(slide for _, slide, label in bag if label == majority)
