"""The incidence matrix of a hypergraph whose edges and vertices are both the slides of a database.

H[e, v] says how much of edge e the vertex v is: each patch of slide e names its n nearest patches, itself first, and
the i-th of them, counted from 0, counts 1 - ln(i + 1) / ln(n + 1) times its own weight for the slide it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_array

from src.index.rankers.neighbour_lists import NeighbourLists, fading
from src.interfaces import Neighbours, Rows

PerSlide = Float64[np.ndarray, " slide"]


@dataclass(frozen=True)
class Incidence:
    """H, sparse.

    Attributes:
        matrix: float64 (slide as edge, slide as vertex), divided by `totals`.
        totals: what each edge was divided by.
    """

    matrix: coo_array
    totals: PerSlide


@dataclass(frozen=True)
class Hyperedges:
    """What H is made of.

    Attributes:
        lists: the rows that each row names.
        weights: how much each row counts where it is named.
        rows: where the rows come from.
        n_named: names per row that count.
        first_row_norm: divide every edge by the total of the first one, not by its own.
    """

    lists: NeighbourLists
    weights: Float64[np.ndarray, " row"]
    rows: Rows
    n_named: int
    first_row_norm: bool

    def incidence(self, is_allowed: Bool[np.ndarray, " row"]) -> Incidence:
        """H of the rows that are allowed, as if there were no others."""
        counts = self.lists.counts(is_allowed, self.n_named) * self.weights[self.lists.rows]
        row, place = np.nonzero(counts)
        edge, vertex = self.rows.slide_of_row[row], self.rows.slide_of_row[self.lists.rows[row, place]]
        totals = self._totals(self._by_slide(edge, counts[row, place]))
        shape = len(totals), len(totals)
        return Incidence(coo_array((counts[row, place] / totals[edge], (edge, vertex)), shape), totals)

    def edge_of(self, newcomer: Neighbours, incidence: Incidence) -> PerSlide:
        """The row of H that a slide has which is not in the database."""
        named = newcomer.rows[:, : self.n_named]
        counts = fading(self.n_named, named.shape[1]) * self.weights[named] * (named >= 0)
        edge = self._by_slide(self.rows.slide_of_row[named], counts)
        total = incidence.totals[0] if self.first_row_norm else edge.sum()
        return edge / total if total else edge

    def vertex_of(self, newcomer: Neighbours, incidence: Incidence, is_allowed: Bool[np.ndarray, " row"]) -> PerSlide:
        """The column of H that it has, as every row names it that it is near enough to."""
        query, place = np.nonzero(newcomer.rows >= 0)
        named_by, distances = newcomer.rows[query, place], newcomer.distances[query, place]
        counts = self.lists.counts_of_newcomer(named_by, distances, is_allowed, self.n_named)
        if newcomer.query_weights is not None:
            counts = counts * newcomer.query_weights[query]
        column: PerSlide = self._by_slide(self.rows.slide_of_row[named_by], counts) / incidence.totals
        return column

    def _totals(self, sums: PerSlide) -> PerSlide:
        totals = np.full_like(sums, sums[0]) if self.first_row_norm else sums
        return np.where(totals > 0, totals, 1.0)  # a slide that is left out has no total

    def _by_slide(self, slides: Int64[np.ndarray, "*_"], counts: Float64[np.ndarray, "*_"]) -> PerSlide:
        sums: PerSlide = np.bincount(slides.ravel(), counts.ravel(), len(self.rows.slide_ids))
        return sums
