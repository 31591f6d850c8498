"""Inverted lists of barcodes: Hamming search that visits the lists around a query (faiss IndexBinaryIVF).

Its lists are found through a binary HNSW graph. faiss cannot leave rows out of this search, so more are asked for and
the excluded ones are dropped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool

from src.data.files import written_whole
from src.errors import ConfigError
from src.index.indexes.checks import check_positive, check_search, checked
from src.index.indexes.ivf import lists_for
from src.index.indexes.over_fetch import Found, over_fetched
from src.index.indexes.removal import remove_from_lists
from src.interfaces import CodeKind, Codes, Neighbours
from src.models.one_thread import one_thread


class BinaryIvf:
    """Exact Hamming distances to the rows of the `nprobe` nearest lists. Keys of codes play no part.

    Args:
        nlist: inverted lists; None for as many as suit the training sample, which also lowers a number given.
        nprobe: lists that a query visits.
        M: links per node of the HNSW graph over the centroids.
    """

    accepts: CodeKind = "binary"
    distance_unit = "Hamming, bits"

    def __init__(self, nlist: int | None, nprobe: int, M: int) -> None:
        check_positive("binary_ivf", nlist=nlist or 1, nprobe=nprobe, M=M)
        self.nlist = nlist
        self.nprobe = nprobe
        self.M = M
        self._faiss: Any = None

    def train(self, sample: Codes) -> None:
        """Fit the centroids."""
        barcodes = checked(sample, self.accepts, None, "binary_ivf")
        nlist = min(self.nlist or len(barcodes), lists_for(len(barcodes), len(barcodes)))
        self._faiss = faiss.index_binary_factory(8 * barcodes.shape[1], f"BIVF{nlist}_HNSW{self.M}")
        self._faiss.cp.min_points_per_centroid = 1
        with one_thread():
            self._faiss.train(barcodes)

    def add(self, codes: Codes) -> None:
        """Append barcodes.

        Raises:
            HistoseekError: codes of the wrong kind or size, or an index that is not trained.
        """
        if self._faiss is None:
            raise ConfigError("index binary_ivf is not trained; train or load it before adding codes")
        self._faiss.add(checked(codes, self.accepts, self._faiss.d // 8, "binary_ivf"))

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query in the lists visited, which may hold fewer."""
        check_search(k, len(self), excluded, "binary_ivf")
        barcodes = checked(queries, self.accepts, self._faiss.d // 8, "binary_ivf")
        parameters = faiss.SearchParametersIVF(nprobe=min(self.nprobe, self._faiss.nlist))

        def found(n_wanted: int) -> Found:
            distances, rows = self._faiss.search(barcodes, n_wanted, params=parameters)
            return distances.astype(np.float32), rows

        return over_fetched(found, len(self), k, excluded)

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up."""
        remove_from_lists(self._faiss, self._faiss, is_removed)

    def save(self, path: Path) -> None:
        """Write one faiss file."""
        with written_whole(path) as temporary:
            faiss.write_index_binary(self._faiss, str(temporary))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._faiss = faiss.read_index_binary(str(path))

    def describe(self) -> dict[str, Any]:
        """What the index is after fitting, for the manifest."""
        return {"nlist": self._faiss.nlist, "code_size_bytes": self._faiss.d // 8}

    def __len__(self) -> int:
        return 0 if self._faiss is None else int(self._faiss.ntotal)
