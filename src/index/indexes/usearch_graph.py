"""The graph of USearch, whose rows can be kept in half floats or bytes; optional.

Source: unum-cloud/USearch, which is HNSW. It cannot leave out rows from Python, so more are asked for and the excluded
ones are dropped.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from src.data.files import written_whole
from src.errors import ConfigError
from src.index.indexes.checks import check_positive, check_search, checked, padded
from src.index.indexes.optional import optional_package
from src.index.indexes.over_fetch import Found, over_fetched
from src.interfaces import CodeKind, Codes, Neighbours

_DTYPES = ("f32", "f16", "i8")


class UsearchGraph:
    """Squared L2 distances of the rows that a walk along the graph meets; it may meet fewer than `k`.

    Args:
        dtype: of the rows that are kept: f32, f16, or i8 (for unit vectors).
        M: links per node; twice as many at the bottom.
        efSearch: breadth of a search.
        efConstruction: breadth of the building.
        n_threads: that build; with more than one, the same rows can give another graph.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean, approximate"

    def __init__(self, dtype: str, M: int, efSearch: int, efConstruction: int, n_threads: int) -> None:
        check_positive("usearch", M=M, efSearch=efSearch, efConstruction=efConstruction, n_threads=n_threads)
        if dtype not in _DTYPES:
            raise ConfigError(f"index usearch: dtype is {dtype!r}, expected {', '.join(_DTYPES)}")
        self.dtype = dtype
        self.M = M
        self.ef_search = efSearch
        self.ef_construction = efConstruction
        self.n_threads = n_threads
        self._graph: Any = None

    def train(self, sample: Codes) -> None:
        """Nothing has to be fitted; the sample gives the dimension."""
        self._graph = self._empty(checked(sample, self.accepts, None, "usearch").shape[1])

    def add(self, codes: Codes) -> None:
        """Append codes.

        Raises:
            HistoseekError: codes of the wrong kind or size, or not finite, or an index that is not trained.
        """
        if self._graph is None:
            raise ConfigError("index usearch is not trained; train or load it before adding codes")
        vectors = checked(codes, self.accepts, self._graph.ndim, "usearch")
        self._graph.add(np.arange(len(self), len(self) + len(vectors)), vectors, threads=self.n_threads)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query among those met."""
        check_search(k, len(self), excluded, "usearch")
        vectors = checked(queries, self.accepts, self._graph.ndim, "usearch")
        return over_fetched(lambda n_wanted: self._found(vectors, n_wanted), len(self), k, excluded)

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up.

        A graph that only loses a row goes on leading through it, so it is built anew from what the index keeps of the
        others: no features are needed, but the time of building.
        """
        rows = self._graph.get(np.flatnonzero(~is_removed))  # in the dtype that they are kept in
        self._graph = self._empty(self._graph.ndim)
        if len(rows):
            self._graph.add(np.arange(len(rows)), np.stack(rows), threads=self.n_threads)

    def save(self, path: Path) -> None:
        """Write USearch's file; it says that this fails, but not why."""
        with written_whole(path) as temporary:
            try:
                self._graph.save(str(temporary))
            except RuntimeError as error:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._graph = optional_package("usearch.index").Index.restore(str(path))

    def describe(self) -> dict[str, Any]:
        """What the index is, for the manifest."""
        return {"dtype": self.dtype, "M": self.M, "dim": self._graph.ndim}

    def __len__(self) -> int:
        return 0 if self._graph is None else len(self._graph)

    def _empty(self, dim: int) -> Any:
        return optional_package("usearch.index").Index(
            ndim=dim,
            metric="l2sq",
            dtype=self.dtype,
            connectivity=self.M,
            expansion_add=self.ef_construction,
        )

    def _found(self, vectors: Float32[np.ndarray, "query dim"], n_wanted: int) -> Found:
        self._graph.expansion_search = max(self.ef_search, n_wanted)
        if len(vectors) > 1:
            found = [self._found(vector[None], n_wanted) for vector in vectors]
            return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])
        matches = self._graph.search(vectors[0], n_wanted)
        distances, rows = np.asarray(matches.distances, np.float32), np.asarray(matches.keys, np.int64)
        return padded(distances[None], rows[None], n_wanted)
