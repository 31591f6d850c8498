"""The exact nearest rows of some queries, found while the rows pass by in chunks."""

from __future__ import annotations

from dataclasses import dataclass, field

import faiss
import numpy as np
from jaxtyping import Float32, Int64


@dataclass
class ExactNearest:
    """The `k` nearest of all rows so far, by squared L2 distance.

    Attributes:
        queries: what they are near to.
        k: how many.
        rows: of each query, nearest first; -1 where fewer have passed.
        n_rows: how many have passed.
    """

    queries: Float32[np.ndarray, "query dim"]
    k: int
    rows: Int64[np.ndarray, "query k"] = field(init=False)
    n_rows: int = 0
    _distances: Float32[np.ndarray, "query k"] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = np.full((len(self.queries), self.k), -1, np.int64)
        self._distances = np.full((len(self.queries), self.k), np.inf, np.float32)

    def add(self, chunk: Float32[np.ndarray, "row dim"]) -> None:
        """Look at the next rows."""
        distances, rows = faiss.knn(self.queries, np.ascontiguousarray(chunk), min(self.k, len(chunk)))
        distances, rows = np.hstack([self._distances, distances]), np.hstack([self.rows, rows + self.n_rows])
        order = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        self._distances, self.rows = (np.take_along_axis(each, order, axis=1) for each in (distances, rows))
        self.n_rows += len(chunk)

    def recall(self, found: Int64[np.ndarray, "query n"]) -> float:
        """Mean share of the nearest rows that a search has found."""
        return float(np.mean([np.isin(rows, own).mean() for rows, own in zip(self.rows, found, strict=True)]))
