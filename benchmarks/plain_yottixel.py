"""Yottixel's ranking as its official code computes it: one exclusive or per pair of barcodes, in Python.

Written from the description of KimiaLabMayo/yottixel (commit 7ef1239), whose barcodes are bitarrays, not numbers.
"""

from __future__ import annotations

from statistics import median

import numpy as np

from benchmarks.plain import PlainHit, PlainSlide


class PlainYottixel:
    """Median over the query's barcodes of the distance to the nearest barcode of a slide."""

    def __init__(self, database: list[PlainSlide]) -> None:
        self._slides = [(slide, _barcodes(slide)) for slide in database]

    def rank(self, query: PlainSlide, k: int) -> list[PlainHit]:
        """The `k` nearest slides, ties by name."""
        own = _barcodes(query)
        distances = [
            (median(min((a ^ b).bit_count() for b in barcodes) for a in own), slide.slide_id)
            for slide, barcodes in self._slides
            if slide.patient_id != query.patient_id
        ]
        return [PlainHit(slide_id, -float(distance)) for distance, slide_id in sorted(distances)[:k]]


def _barcodes(slide: PlainSlide) -> list[int]:
    falls = np.diff(slide.features, axis=1) < 0
    return [int.from_bytes(np.packbits(bits).tobytes(), "big") for bits in falls]
