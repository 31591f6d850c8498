"""Exact search over every row: the reference that approximate indexes are measured against (faiss IndexFlat)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, Float32

from src.data.files import written_whole
from src.errors import ConfigError, IncompatibleParts
from src.index.indexes.checks import check_search, checked, selector, sorted_neighbours
from src.index.indexes.near_vectors import near_vectors
from src.index.indexes.removal import remove_from_array
from src.interfaces import CodeKind, Codes, Neighbours

_UNIT_NORM_TOLERANCE = 1e-3


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
        self._faiss: Any = None

    def train(self, sample: Codes) -> None:
        """Nothing has to be fitted; the sample is only checked."""
        self._checked(sample)

    def add(self, codes: Codes) -> None:
        """Append codes.

        Raises:
            HistoseekError: codes of the wrong kind, size or length, or not finite.
        """
        vectors = self._checked(codes)
        if self._faiss is None:
            self._faiss = _empty(self.metric, vectors.shape[1])
        self._faiss.add(vectors)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query, min(k, allowed rows) of them."""
        check_search(k, len(self), excluded, "flat")
        vectors = self._checked(queries)
        # A selector is always given: the path without one is blocked through BLAS, whose rounding depends on the
        # position of a row, so that equal rows would not tie.
        parameters = faiss.SearchParameters(sel=selector(len(self), excluded))
        distances, rows = self._faiss.search(vectors, k, params=parameters)
        return sorted_neighbours(1 - distances if self.metric == "cosine" else distances, rows)

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
        remove_from_array(self._faiss, is_removed)

    def save(self, path: Path) -> None:
        """Write one faiss file."""
        with written_whole(path) as temporary:
            faiss.write_index(self._faiss, str(temporary))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._faiss = faiss.read_index(str(path))

    def describe(self) -> dict[str, Any]:
        """What the index is, for the manifest."""
        return {"metric": self.metric}

    def __len__(self) -> int:
        return 0 if self._faiss is None else int(self._faiss.ntotal)

    @property
    def _stored(self) -> Float32[np.ndarray, "row dim"]:
        stored: np.ndarray = faiss.rev_swig_ptr(self._faiss.get_xb(), self._faiss.ntotal * self._faiss.d)
        return stored.reshape(len(self), -1)

    def _checked(self, codes: Codes) -> Float32[np.ndarray, "row column"]:
        vectors = checked(codes, self.accepts, None if self._faiss is None else self._faiss.d, "flat")
        if self.metric == "cosine":
            _check_unit_norm(vectors)
        return vectors


def _empty(metric: str, dim: int) -> Any:
    return faiss.IndexFlatIP(dim) if metric == "cosine" else faiss.IndexFlatL2(dim)


def _check_unit_norm(vectors: Float32[np.ndarray, "row column"]) -> None:
    norms = np.linalg.norm(vectors, axis=1)
    wrong = np.abs(norms - 1) > _UNIT_NORM_TOLERANCE
    if wrong.any():
        raise IncompatibleParts(
            f"index flat: cosine takes vectors of length 1, {int(wrong.sum())} of {len(norms)} have another "
            f"(the first: {norms[wrong][0]:.3g}); choose code=l2 or index.metric=l2"
        )
