"""A graph of near barcodes: Hamming search that walks along it (faiss IndexBinaryHNSW).

Source: as `hnsw`. It is built by one thread, so that the same rows give the same graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool

from src.data.files import written_whole
from src.index.indexes.checks import check_positive, check_search, checked, selector, sorted_neighbours
from src.interfaces import CodeKind, Codes, Neighbours
from src.models.one_thread import one_thread


class BinaryHnsw:
    """Exact Hamming distances to the rows that a walk along the graph meets; it may meet fewer than `k`.

    Args:
        M: links per node; twice as many at the bottom.
        efSearch: breadth of a search, at least `k`.
        efConstruction: breadth of the building.
    """

    accepts: CodeKind = "binary"
    distance_unit = "Hamming, bits"

    def __init__(self, M: int, efSearch: int, efConstruction: int) -> None:
        check_positive("binary_hnsw", M=M, efSearch=efSearch, efConstruction=efConstruction)
        self.M = M
        self.ef_search = efSearch
        self.ef_construction = efConstruction
        self._faiss: Any = None

    def train(self, sample: Codes) -> None:
        """Nothing has to be fitted; the sample is only checked."""
        checked(sample, self.accepts, self._n_bytes, "binary_hnsw")

    def add(self, codes: Codes) -> None:
        """Append barcodes.

        Raises:
            HistoseekError: codes of the wrong kind or size.
        """
        barcodes = checked(codes, self.accepts, self._n_bytes, "binary_hnsw")
        if self._faiss is None:
            self._faiss = self._empty(8 * barcodes.shape[1])
        with one_thread():
            self._faiss.add(barcodes)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query among those met."""
        check_search(k, len(self), excluded, "binary_hnsw")
        barcodes = checked(queries, self.accepts, self._n_bytes, "binary_hnsw")
        parameters = faiss.SearchParametersHNSW(
            efSearch=max(self.ef_search, k), sel=None if excluded is None else selector(len(self), excluded)
        )
        distances, rows = self._faiss.search(barcodes, k, params=parameters)
        return sorted_neighbours(distances.astype(np.float32), rows)

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up.

        A graph that only loses a row goes on leading through it, so it is built anew from the barcodes of the others.
        """
        barcodes = self._faiss.reconstruct_n(0, len(self))[~is_removed]
        self._faiss = self._empty(self._faiss.d)
        with one_thread():
            self._faiss.add(barcodes)

    def save(self, path: Path) -> None:
        """Write one faiss file."""
        with written_whole(path) as temporary:
            faiss.write_index_binary(self._faiss, str(temporary))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._faiss = faiss.read_index_binary(str(path))

    def describe(self) -> dict[str, Any]:
        """What the index is, for the manifest."""
        return {"M": self.M, "code_size_bytes": self._n_bytes}

    def __len__(self) -> int:
        return 0 if self._faiss is None else int(self._faiss.ntotal)

    def _empty(self, n_bits: int) -> Any:
        index = faiss.IndexBinaryHNSW(n_bits, self.M)
        index.hnsw.efConstruction = self.ef_construction
        return index

    @property
    def _n_bytes(self) -> int | None:
        return None if self._faiss is None else self._faiss.d // 8
