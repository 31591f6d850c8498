"""Slides by their barcodes and by what they are as a whole: PathSearch's "bag of barcodes" and semantic distance.

Source: "PathSearch", arXiv 2510.23224; Dootmaan/PathSearch (commit 650ff02), `src/test/`.
Differs from it: slides at the same distance are ordered by slide_id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64

from src.errors import ConfigError
from src.index.rankers.best_slides import best_slides
from src.index.rankers.median_of_minima import median_of_minima
from src.index.rankers.merging import MergedHits, as_hits, merged
from src.interfaces import Codes, Index, Neighbours, Ranked, Ranking, Rows

_SUMMARIES = "summaries"


class BarcodesAndSemantics:
    """d(Q, W) = median over barcodes of Q of the minimum over those of W + weight x Euclid(Q, W); score = -d.

    The summaries of slides have unit length, so that their Euclidean distance is 0 to 2.

    Args:
        semantic_weight: bits that an Euclidean distance of 1 counts as; 0 for barcodes alone.

    Raises:
        ConfigError: a negative weight.
    """

    ranks: Ranked = "slides"
    n_neighbours: int | None = None
    is_exhaustive = True
    counts_nearest_of_slide = True
    counts_summaries = True
    distance_unit: str | None = "Hamming, bits"

    def __init__(self, semantic_weight: float | int) -> None:
        if semantic_weight < 0:
            raise ConfigError(f"ranking barcodes_and_semantics: semantic_weight is {semantic_weight:g}, expected >= 0")
        self.semantic_weight = semantic_weight
        self._summaries = np.zeros((0, 0), dtype=np.float32)

    def fit(self, codes: Codes, index: Index, rows: Rows) -> None:
        """Keep the summary of each slide."""
        assert codes.summaries is not None  # the engine has checked what the code gives
        self._summaries = codes.summaries

    def settings(self) -> dict[str, Any]:
        """Nothing shapes what is kept."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        """The summary of each slide."""
        return {_SUMMARIES: self._summaries}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        self._summaries = state[_SUMMARIES]

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """The `k` nearest slides, each at the barcode that is nearest to any of the query's; ties by slide_id."""
        slides = merged(neighbours, rows).nearest_of_each_slide()
        distances = self.distances(neighbours, rows)[slides.slides]
        best = np.lexsort((rows.alphabetical[slides.slides], distances))[:k]
        return Ranking(query_id, as_hits(slides.take(best), 0 - distances[best], rows))

    def distances(self, neighbours: Neighbours, rows: Rows) -> Float64[np.ndarray, " slide"]:
        """Distance of the query to each slide of the index; inf where none of its barcodes was found."""
        assert neighbours.query_summary is not None
        semantic = self.semantic_weight * self._euclid(neighbours.query_summary)
        return np.asarray(median_of_minima(neighbours, rows) + semantic)

    def rank_by_summary(
        self,
        query_id: str,
        summary: Float32[np.ndarray, " dim"],
        rows: Rows,
        k: int,
        is_excluded: Bool[np.ndarray, " row"] | None = None,
    ) -> Ranking:
        """The `k` slides whose summaries are nearest to a vector, as of a text; score = cosine, ties by slide_id.

        A slide's place is that of its last row, which the summary is a barcode of.

        Args:
            query_id: names the ranking.
            summary: at unit length.
            rows: of the index.
            k: answers wanted.
            is_excluded: rows that are left out.
        """
        last_row = np.searchsorted(rows.slide_of_row, np.arange(len(rows.slide_ids)), side="right") - 1
        cosines = self._summaries @ summary
        best = best_slides(cosines, last_row, rows, k, is_excluded)
        hits = MergedHits(last_row[best], best, 1 - cosines[best])
        return Ranking(query_id, as_hits(hits, cosines[best], rows))

    def _euclid(self, summary: Float32[np.ndarray, " dim"]) -> Float64[np.ndarray, " slide"]:
        difference = self._summaries.astype(np.float64) - summary
        return np.asarray(np.linalg.norm(difference, axis=1))
