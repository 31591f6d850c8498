"""The graph of hnswlib, the library of the method's authors; optional. `index=hnsw` is the same method in faiss.

Source: nmslib/hnswlib. It cannot leave out rows fast from Python, so more are asked for and the
excluded ones are dropped.
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

_GROWTH = 1.5


class HnswlibGraph:
    """Squared L2 distances of the rows that a walk along the graph meets; it may meet fewer than `k`.

    Args:
        M: links per node; twice as many at the bottom.
        efSearch: breadth of a search, at least `k`.
        efConstruction: breadth of the building.
        n_threads: that build and search; with more than one, the same rows can give another graph.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean, approximate"

    def __init__(self, M: int, efSearch: int, efConstruction: int, n_threads: int) -> None:
        check_positive("hnswlib", M=M, efSearch=efSearch, efConstruction=efConstruction, n_threads=n_threads)
        self.M = M
        self.ef_search = efSearch
        self.ef_construction = efConstruction
        self.n_threads = n_threads
        self._graph: Any = None

    def train(self, sample: Codes) -> None:
        """Nothing has to be fitted; the sample gives the dimension."""
        self._graph = self._empty(checked(sample, self.accepts, None, "hnswlib").shape[1], len(sample))

    def add(self, codes: Codes) -> None:
        """Append codes.

        Raises:
            HistoseekError: codes of the wrong kind or size, or not finite, or an index that is not trained.
        """
        if self._graph is None:
            raise ConfigError("index hnswlib is not trained; train or load it before adding codes")
        vectors = checked(codes, self.accepts, self._graph.dim, "hnswlib")
        n_rows = len(self) + len(vectors)
        if n_rows > self._graph.get_max_elements():
            self._graph.resize_index(max(n_rows, int(_GROWTH * len(self))))
        self._graph.add_items(vectors, np.arange(len(self), n_rows), num_threads=self.n_threads)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query among those met."""
        check_search(k, len(self), excluded, "hnswlib")
        vectors = checked(queries, self.accepts, self._graph.dim, "hnswlib")
        return over_fetched(lambda n_wanted: self._found(vectors, n_wanted), len(self), k, excluded)

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up.

        A graph that only loses a row goes on leading through it, so it is built anew from what the index keeps of the
        others: no features are needed, but the time of building.
        """
        kept = np.flatnonzero(~is_removed)
        vectors = np.asarray(self._graph.get_items(kept), np.float32) if len(kept) else None
        self._graph = self._empty(self._graph.dim, max(1, len(kept)))
        if vectors is not None:
            self.add(Codes(vectors))

    def save(self, path: Path) -> None:
        """Write hnswlib's file; it does not say itself where that ends early."""
        with written_whole(path) as temporary:
            self._graph.save_index(str(temporary))
            if temporary.stat().st_size < self._graph.index_file_size():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the dimension is not in hnswlib's file, but follows from its size per row."""
        self._graph = optional_package("hnswlib").Index(space="l2", dim=_dim_in(path))
        self._graph.load_index(str(path))

    def describe(self) -> dict[str, Any]:
        """What the index is, for the manifest."""
        return {"M": self.M, "dim": self._graph.dim}

    def __len__(self) -> int:
        return 0 if self._graph is None else int(self._graph.get_current_count())

    def _empty(self, dim: int, n_rows: int) -> Any:
        graph = optional_package("hnswlib").Index(space="l2", dim=dim)
        graph.init_index(max_elements=n_rows, M=self.M, ef_construction=self.ef_construction)
        return graph

    def _found(self, vectors: Float32[np.ndarray, "query dim"], n_wanted: int) -> Found:
        """The package refuses a search that meets fewer rows than asked for; what it can give is padded."""
        self._graph.set_ef(max(self.ef_search, n_wanted))
        n_given = n_wanted
        while True:
            try:
                rows, distances = self._graph.knn_query(vectors, n_given, num_threads=self.n_threads)
                break
            except RuntimeError:
                if n_given == 1:
                    raise
                n_given //= 2
        return padded(distances, rows.astype(np.int64), n_wanted)


def _dim_in(path: Path) -> int:
    """Bytes of a row's vector, which lie in hnswlib's file between its links and its label."""
    with path.open("rb") as file:
        header = np.frombuffer(file.read(48), np.uint64)
    label_offset, data_offset = int(header[4]), int(header[5])
    return (label_offset - data_offset) // 4
