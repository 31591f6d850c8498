"""SISH's search as its official code computes it: key after key from every seed, barcodes parsed from their characters.

Written from the description of mahmoodlab/SISH (commit 42fe005), `database.py`. Keys lie in a sorted list here, in a
van Emde Boas tree of 34 GB there. Each query copies the entries of the other patients, as there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from benchmarks.plain import PlainHit, PlainSlide, class_weights
from benchmarks.plain_uncertainty import PlainBag, ranked

_N_SEEDS, _SEED_STEP, _N_STEPS, _MAX_DISTANCE = 10, 50 * 10**11, 375, 128


class PlainEntry(NamedTuple):
    """A patch of the database."""

    slide_id: str
    patient_id: str
    label: str
    barcode: str


class PlainSish:
    """Guided search of each patch, then slides by the uncertainty of what was found."""

    def __init__(self, database: list[PlainSlide]) -> None:
        self._entries: dict[int, list[PlainEntry]] = defaultdict(list)
        for slide in database:
            for key, barcode in zip(slide.keys.tolist(), barcodes_of(slide), strict=True):
                self._entries[key].append(PlainEntry(slide.slide_id, slide.patient_id, slide.label, barcode))
        self._keys = sorted(self._entries)
        self._weights = class_weights(database)

    def rank(self, query: PlainSlide, k: int) -> list[PlainHit]:
        """At most `k` slides of other patients."""
        left = self.without(query.patient_id)
        found = [self.found(*one, left) for one in zip(query.keys.tolist(), barcodes_of(query), strict=True)]
        bags = [
            PlainBag([(d, entry.slide_id, entry.label) for d, entry in hits], self._weights) for hits in found if hits
        ]
        return ranked(bags)[:k]

    def without(self, patient_id: str) -> dict[int, list[PlainEntry]]:
        """A copy of all entries but those of a patient."""
        return {
            key: [entry for entry in entries if entry.patient_id != patient_id]
            for key, entries in self._entries.items()
        }

    def found(self, key: int, barcode: str, left: dict[int, list[PlainEntry]]) -> list[tuple[int, PlainEntry]]:
        """Near entries around a key, nearest first, equally near ones in the order of discovery."""
        hits: list[tuple[int, PlainEntry]] = []
        visited: set[int] = set()
        for seed in [key + sign * t * _SEED_STEP for sign in (-1, 1) for t in range(_N_SEEDS)]:
            for step in (-1, 1):
                self._scan(seed, step, barcode, left, visited, hits)
        return sorted(hits, key=lambda hit: hit[0])

    def _scan(
        self,
        key: int,
        step: int,
        barcode: str,
        left: dict[int, list[PlainEntry]],
        visited: set[int],
        hits: list[tuple[int, PlainEntry]],
    ) -> None:
        n_steps = 0
        while n_steps < _N_STEPS:
            place = bisect_left(self._keys, key) - 1 if step < 0 else bisect_right(self._keys, key)
            if not 0 <= place < len(self._keys) or (key := self._keys[place]) in visited:
                return
            if not left[key]:
                continue
            distance, entry = min(
                ((_hamming(each.barcode, barcode), each) for each in left[key]), key=lambda hit: hit[0]
            )
            if distance <= _MAX_DISTANCE:
                hits.append((distance, entry))
                visited.add(key)
            n_steps += 1


def barcodes_of(slide: PlainSlide) -> list[str]:
    """Characters 0 and 1, one per feature."""
    rises = np.pad(np.diff(slide.features, axis=1) >= 0, ((0, 0), (1, 0)))
    return ["".join(bits) for bits in rises.astype(int).astype(str)]


def _hamming(a: str, b: str) -> int:
    return (int(a, 2) ^ int(b, 2)).bit_count()
