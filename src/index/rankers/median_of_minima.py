"""Slides by the median over the query's codes of the distance to the nearest patch: Yottixel's "bunch of barcodes".

Source: Kalra et al., "Yottixel - an image search engine for large archives of histopathology whole slide images",
2020; KimiaLabMayo/yottixel (commit 7ef1239), `helper_functions.BoB.distance`.
Differs from the official code: slides at the same distance are ordered by slide_id, because np.argsort leaves their
order to the sorting algorithm. Any distance can be taken, not only Hamming.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int64

from src.index.rankers.merging import as_hits, merged
from src.interfaces import Neighbours, Ranked, Ranking, Rows


class MedianOfMinima:
    """d(Q, W) = median over the codes of Q of the minimum over the codes of W; score = -d.

    It is not symmetric. Of an even number of codes the median lies halfway between two. On an index that does not find
    every row, what is not found is infinitely far, and a slide at infinite distance is no answer.
    """

    ranks: Ranked = "slides"
    n_neighbours: int | None = None
    is_exhaustive = True
    counts_nearest_of_slide = True
    distance_unit: str | None = None

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """The `k` nearest slides, each with the patch that is nearest to any query code; ties by slide_id."""
        medians = median_of_minima(neighbours, rows)
        order = np.lexsort((rows.alphabetical, medians))
        best = order[np.isfinite(medians[order])][:k]
        nearest = merged(_of_slides(neighbours, rows, best), rows).nearest_of_each_slide()
        places = np.empty_like(best)
        places[np.argsort(best)] = np.argsort(nearest.slides)
        return Ranking(query_id, as_hits(nearest.take(places), 0 - medians[best], rows))


def median_of_minima(neighbours: Neighbours, rows: Rows) -> Float32[np.ndarray, " slide"]:
    """Distance of the query to each slide of the index; inf where half of its codes found no row of the slide.

    >>> rows = Rows(("a", "b"), ("p", "q"), np.array([0, 0, 1]), np.zeros((3, 2), dtype=np.int64))
    >>> distances = np.array([[1, 2, 8], [3, 4, 6]], dtype=np.float32)
    >>> median_of_minima(Neighbours(distances, np.array([[0, 1, 2], [1, 2, 0]])), rows).tolist()
    [2.0, 6.0]
    """
    minima = np.full((len(neighbours.rows), len(rows.slide_ids)), np.inf, dtype=np.float32)
    code, place = np.nonzero(neighbours.rows >= 0)
    slides: Int64[np.ndarray, " found"] = rows.slide_of_row[neighbours.rows[code, place]]
    np.minimum.at(minima, (code, slides), neighbours.distances[code, place])
    medians: Float32[np.ndarray, " slide"] = np.median(minima, axis=0)
    return medians


def _of_slides(neighbours: Neighbours, rows: Rows, slides: Int64[np.ndarray, " kept"]) -> Neighbours:
    """Other neighbours are missing."""
    is_kept = np.zeros(len(rows.slide_ids) + 1, dtype=bool)  # the last is of missing neighbours
    is_kept[slides] = True
    found = neighbours.rows
    of_found = np.where(found < 0, len(rows.slide_ids), rows.slide_of_row[found])
    return replace(neighbours, rows=np.where(is_kept[of_found], found, -1))
