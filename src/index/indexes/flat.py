"""Exact search over every row: the reference that approximate indexes are measured against (faiss's file)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from src.errors import ConfigError, IncompatibleParts
from src.index.indexes.checks import check_search, check_unit_norm, checked
from src.index.indexes.closeness import Closeness, Cosine, SquaredEuclidean
from src.index.indexes.flat_file import read_flat, write_flat
from src.index.indexes.growing_rows import GrowingRows
from src.index.indexes.near_vectors import near_vectors
from src.index.indexes.nearest_vectors import nearest_vectors
from src.interfaces import CodeKind, Codes, Neighbours


class Flat:
    """Every distance is computed; equal distances go to the smaller row.

    Args:
        metric: `cosine` states 1 - inner product and takes unit vectors; `l2` states the squared Euclidean distance.
    """

    accepts: CodeKind = "float"

    def __init__(self, metric: str) -> None:
        if metric not in ("cosine", "l2"):
            raise ConfigError(f"index flat: metric is {metric!r}, expected cosine or l2")
        self.metric = metric
        self.distance_unit = "1 - cosine" if metric == "cosine" else "squared Euclidean"
        self._vectors: GrowingRows | None = None
        self._closeness: Closeness | None = None

    def train(self, sample: Codes) -> None:
        """Nothing has to be fitted; the sample gives the dimension."""
        self._vectors = GrowingRows(self._checked(sample)[:0])

    def add(self, codes: Codes) -> None:
        """Append codes.

        Raises:
            HistoseekError: codes of the wrong kind, size or length, or not finite.
        """
        vectors = self._checked(codes)
        if self._vectors is None:
            self._vectors = GrowingRows(vectors[:0])
        self._vectors.append(vectors)
        self._closeness = None

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query, min(k, allowed rows) of them."""
        check_search(k, len(self), excluded, "flat")
        vectors = self._checked(queries)
        if self._closeness is None:
            self._closeness = (Cosine if self.metric == "cosine" else SquaredEuclidean)(self._stored)
        return nearest_vectors(vectors, k, self._closeness, excluded)

    def near(self, queries: Codes, max_distance: float, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """Every row within a distance of each query, as `search` would give them.

        Raises:
            IncompatibleParts: an index of squared Euclidean distances.
        """
        if self.metric != "cosine":
            raise IncompatibleParts("index flat: finds near rows by cosine only; choose index.metric=cosine")
        check_search(1, len(self), excluded, "flat")
        return near_vectors(self._checked(queries), self._stored, max_distance, excluded)

    def codes(self) -> Codes:
        """Of every row."""
        return Codes(self._stored.copy())

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up."""
        assert self._vectors is not None
        self._vectors.remove(is_removed)
        self._closeness = None

    def save(self, path: Path) -> None:
        """Write one faiss file."""
        write_flat(path, self._stored, self.metric)

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._vectors = GrowingRows(read_flat(path))
        self._closeness = None

    def describe(self) -> dict[str, Any]:
        """What the index is, for the manifest."""
        return {"metric": self.metric}

    def __len__(self) -> int:
        return 0 if self._vectors is None else len(self._vectors.rows)

    @property
    def _stored(self) -> Float32[np.ndarray, "row dim"]:
        assert self._vectors is not None
        return self._vectors.rows

    def _checked(self, codes: Codes) -> Float32[np.ndarray, "row column"]:
        dim = None if self._vectors is None else self._stored.shape[1]
        vectors = checked(codes, self.accepts, dim, "flat")
        if self.metric == "cosine":
            check_unit_norm(vectors, "flat")
        return vectors
