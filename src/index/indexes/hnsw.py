"""A graph of near neighbours over whole vectors: fast, and as large as the vectors and their links (faiss IndexHNSW).

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable
small world graphs", 2018. It is built by one thread, so that the same rows give the same graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool

from src.errors import ConfigError
from src.index.indexes.checks import check_positive, check_search, checked, selector, sorted_neighbours
from src.index.indexes.faiss_files import read_faiss, write_faiss
from src.interfaces import CodeKind, Codes, Neighbours
from src.models.one_thread import one_thread

_CODES = ("Flat", "SQ8")


class Hnsw:
    """Squared L2 distances of the rows that a walk along the graph meets; it may meet fewer than `k`.

    Args:
        code: what is kept of a row: `Flat` (float32) or `SQ8` (a byte per dimension, fitted on the training sample).
        M: links per node; twice as many at the bottom.
        efSearch: breadth of a search, at least `k`.
        efConstruction: breadth of the building.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean, approximate"

    def __init__(self, code: str, M: int, efSearch: int, efConstruction: int) -> None:
        check_positive("hnsw", M=M, efSearch=efSearch, efConstruction=efConstruction)
        if code not in _CODES:
            raise ConfigError(f"index hnsw: code is {code!r}, expected Flat or SQ8")
        self.code = code
        self.M = M
        self.ef_search = efSearch
        self.ef_construction = efConstruction
        self._faiss: Any = None

    def train(self, sample: Codes) -> None:
        """Fit the code."""
        vectors = checked(sample, self.accepts, None, "hnsw")
        self._faiss = faiss.index_factory(vectors.shape[1], f"HNSW{self.M},{self.code}")
        self._faiss.hnsw.efConstruction = self.ef_construction
        with one_thread():
            self._faiss.train(vectors)

    def add(self, codes: Codes) -> None:
        """Append codes.

        Raises:
            HistoseekError: codes of the wrong kind or size, or not finite, or an index that is not trained.
        """
        if self._faiss is None:
            raise ConfigError("index hnsw is not trained; train or load it before adding codes")
        with one_thread():
            self._faiss.add(checked(codes, self.accepts, self._faiss.d, "hnsw"))

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query among those met."""
        check_search(k, len(self), excluded, "hnsw")
        vectors = checked(queries, self.accepts, self._faiss.d, "hnsw")
        parameters = faiss.SearchParametersHNSW(
            efSearch=max(self.ef_search, k), sel=None if excluded is None else selector(len(self), excluded)
        )
        return sorted_neighbours(*self._faiss.search(vectors, k, params=parameters))

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up.

        A graph that only loses a row goes on leading through it, so it is built anew from what the index keeps of the
        others: no features are needed, but the time of building.
        """
        vectors = self._faiss.reconstruct_n(0, len(self))[~is_removed]
        self._faiss.reset()
        self._faiss = faiss.deserialize_index(faiss.serialize_index(self._faiss))  # what was cleared is not in memory
        with one_thread():
            self._faiss.add(vectors)

    def save(self, path: Path) -> None:
        """Write one faiss file."""
        write_faiss(self._faiss, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._faiss = read_faiss(path)

    def describe(self) -> dict[str, Any]:
        """What the index is, for the manifest."""
        return {"code": self.code, "M": self.M, "dim": self._faiss.d}

    def __len__(self) -> int:
        return 0 if self._faiss is None else int(self._faiss.ntotal)
