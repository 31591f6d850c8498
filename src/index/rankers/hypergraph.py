"""Slides by the hypergraph that they span: similar slides share neighbours (HSHR).

Source: Li et al., "Hypergraph-guided slide-level histology retrieval with self-supervised hashing" (HSHR), 2023;
Lucius-lsr/HSHR (commit 58582e6) and its copy in jacobluber/PathologySearchComparison (commit 361a27d),
`utils/evaluate.py` and `utils/retrieval_utils.py`. Slides are similar as edges (H H'), as vertices (H' H), and where
one is a vertex of the other (H + H'); the query's row of each, divided by its sum, is added up.
Differs from HSHR: the query need not be a slide of the database, and what a protocol leaves out is no part of the
hypergraph (`official_transductive` brings both back); K, alpha and beta are settings, where the official `eval` reports
the best of many on the labels of the test; no dense matrix is made; equal distances go to the smaller row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from src.errors import ConfigError
from src.index.rankers.incidence import Hyperedges, PerSlide
from src.index.rankers.merging import as_hits, merged
from src.index.rankers.neighbour_lists import NeighbourLists
from src.interfaces import Codes, Index, Neighbours, Ranked, Ranking, Rows


class Hypergraph:
    """Each slide of the database and the query are an edge and a vertex of one hypergraph.

    Args:
        n_nearest: patches that a patch names (K).
        n_spare: more of them that are kept, to move up where others are left out.
        alpha: what being similar as vertices counts; as edges counts 1.
        beta: what being a vertex of the other counts.
        use_weights: a patch counts by its weight, where the code gives one.
        official_transductive: the query is a slide of the database, whose hypergraph holds what is left out too.
        official_first_row_norm: every edge is divided by the total of the first one; otherwise each by its own.

    Raises:
        ConfigError: a setting out of range.
    """

    ranks: Ranked = "slides"
    n_neighbours: int | None = None  # any row can name the query
    is_exhaustive = False
    distance_unit: str | None = None

    def __init__(
        self,
        n_nearest: int,
        n_spare: int,
        alpha: float,
        beta: float,
        use_weights: bool,
        official_transductive: bool,
        official_first_row_norm: bool,
    ) -> None:
        if n_nearest < 1 or min(n_spare, alpha, beta) < 0:
            raise ConfigError(
                f"ranking hypergraph: n_nearest is {n_nearest}, n_spare {n_spare}, alpha {alpha:g}, beta {beta:g}; "
                "expected n_nearest of at least 1 and none below 0"
            )
        self.n_nearest = n_nearest
        self.n_spare = n_spare
        self.alpha = alpha
        self.beta = beta
        self.use_weights = use_weights
        self.official_transductive = official_transductive
        self.official_first_row_norm = official_first_row_norm
        self._state: dict[str, np.ndarray] = {}

    def fit(self, codes: Codes, index: Index, rows: Rows) -> None:
        """Find the rows that each row of the database names."""
        lists = NeighbourLists.of(codes, index, self.n_nearest + self.n_spare)
        weights = np.ones(len(codes), np.float32) if codes.weights is None else codes.weights
        self._state = {"rows": lists.rows, "distances": lists.distances, "weights": weights}

    def settings(self) -> dict[str, Any]:
        """How many rows each row names."""
        return {"n_nearest": self.n_nearest, "n_spare": self.n_spare}

    def state(self) -> dict[str, np.ndarray]:
        """The rows that each row names, their distances, and the weights of all rows."""
        return self._state

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        self._state = dict(state)

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """The `k` slides most similar to the query (the score), each with its nearest patch; ties go to the nearer one.

        Raises:
            ConfigError: `official_transductive`, and the query is no slide of the database.
        """
        slides = merged(neighbours, rows).nearest_of_each_slide()
        similarities = self.similarities(query_id, neighbours, rows)[slides.slides]
        best = np.argsort(-similarities, kind="stable")[:k]
        return Ranking(query_id, as_hits(slides.take(best), similarities[best], rows))

    def similarities(self, query_id: str, neighbours: Neighbours, rows: Rows) -> PerSlide:
        """How similar each slide of the database is to the query, 0 to 1 + alpha + beta."""
        edges = self.hyperedges(rows)
        if self.official_transductive:
            matrix = edges.incidence(np.ones(len(rows), dtype=bool)).matrix
            own = _one_hot(query_id, rows)
            edge, vertex = matrix.T @ own, matrix @ own
        else:
            is_allowed = _is_found(neighbours, rows)
            incidence = edges.incidence(is_allowed)
            matrix = incidence.matrix
            edge = edges.edge_of(neighbours, incidence)
            vertex = edges.vertex_of(neighbours, incidence, is_allowed)
        as_edge, as_vertex, as_each_other = matrix @ edge, matrix.T @ vertex, edge + vertex
        return _shares(as_edge) + self.alpha * _shares(as_vertex) + self.beta * _shares(as_each_other)

    def hyperedges(self, rows: Rows) -> Hyperedges:
        """What the hypergraph of the database is made of."""
        state = self._state
        weights = state["weights"] if self.use_weights else np.ones(len(rows))
        lists = NeighbourLists(state["rows"], state["distances"])
        return Hyperedges(lists, weights.astype(np.float64), rows, self.n_nearest, self.official_first_row_norm)


def _one_hot(query_id: str, rows: Rows) -> PerSlide:
    if query_id not in rows.slide_ids:
        raise ConfigError(
            f"{query_id}: is no slide of the database, which ranking.official_transductive takes; leave that out"
        )
    own = np.zeros(len(rows.slide_ids))
    own[rows.slide_ids.index(query_id)] = 1
    return own


def _is_found(neighbours: Neighbours, rows: Rows) -> Bool[np.ndarray, " row"]:
    """Rows that are not excluded, as every row is asked for."""
    is_found = np.zeros(len(rows), dtype=bool)
    is_found[neighbours.rows[neighbours.rows >= 0]] = True
    return is_found


def _shares(similarities: PerSlide) -> PerSlide:
    total = similarities.sum()
    return similarities / total if total else similarities
