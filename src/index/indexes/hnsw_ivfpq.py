"""HERE's index: product-quantised residuals in inverted lists whose centroids are found through an HNSW graph.

Source: HERE, `generate_faiss_index_v2.py` (M = m = 32, 128 lists, 8 bits) and its portal's `app_common.py`, which never
sets nprobe, so that one list is searched. A row costs m * nbits / 8 + 8 bytes: 40 in the deployed form.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool

from src.errors import ConfigError
from src.index.indexes.checks import check_positive, check_search, checked, selector, sorted_neighbours
from src.index.indexes.faiss_files import read_faiss, write_faiss
from src.index.indexes.merging import append_lists, fit_digest
from src.index.indexes.removal import remove_from_lists
from src.interfaces import CodeKind, Codes, Neighbours

_log = logging.getLogger(__name__)

# k-means needs one vector per centroid; lists that hold fewer than this on average are noise.
_VECTORS_PER_LIST = 8


@dataclass(frozen=True)
class _Shape:
    """What training can change of what was asked for."""

    nlist: int
    nbits: int


class HnswIvfPq:
    """Approximate squared L2 distances over the rows of the `nprobe` nearest lists.

    Too few training vectors lower `nlist` and `nbits`, with a warning. Vectors whose dimension `m` does not divide are
    padded with zeros, which changes no distance.

    Args:
        M: links per node of the HNSW graph over the centroids.
        m: sub-vectors of the product quantiser.
        nlist: inverted lists.
        nbits: bits per sub-vector, at most 8.
        nprobe: lists that a query visits.
        efSearch: breadth of the search for centroids.
        efConstruction: breadth of the building of the graph.
        mapped: leave the codes in the file after loading; they are read into memory when the index changes.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean, approximate"

    def __init__(
        self,
        M: int,
        m: int,
        nlist: int,
        nbits: int,
        nprobe: int,
        efSearch: int,
        efConstruction: int,
        mapped: bool = False,
    ) -> None:
        counts = {"M": M, "m": m, "nlist": nlist, "nbits": nbits, "nprobe": nprobe}
        check_positive("hnsw_ivfpq", **counts, efSearch=efSearch, efConstruction=efConstruction)
        if nbits > 8:
            raise ConfigError(f"index hnsw_ivfpq: nbits is {nbits}, expected at most 8")
        self.M = M
        self.m = m
        self.nlist = nlist
        self.nbits = nbits
        self.nprobe = nprobe
        self.ef_search = efSearch
        self.ef_construction = efConstruction
        self.mapped = mapped
        self._faiss: Any = None
        self._mapped_file: Path | None = None

    def train(self, sample: Codes) -> None:
        """Fit centroids and quantiser.

        Raises:
            ConfigError: fewer than 2 vectors to train on.
        """
        vectors = checked(sample, self.accepts, None, "hnsw_ivfpq")
        shape = _fitted(_Shape(self.nlist, self.nbits), len(vectors))
        self._faiss = self._empty(vectors.shape[1], shape)
        self._faiss.train(vectors)

    def add(self, codes: Codes) -> None:
        """Append codes, quantised.

        Raises:
            HistoseekError: codes of the wrong kind or size, or not finite, or an index that is not trained.
        """
        if self._faiss is None:
            raise ConfigError("index hnsw_ivfpq is not trained; train or load it before adding codes")
        vectors = checked(codes, self.accepts, self._faiss.d, "hnsw_ivfpq")
        self._unmap()
        self._faiss.add(vectors)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query in the lists visited, which may hold fewer."""
        check_search(k, len(self), excluded, "hnsw_ivfpq")
        vectors = checked(queries, self.accepts, self._faiss.d, "hnsw_ivfpq")
        parameters = faiss.SearchParametersIVF(
            nprobe=min(self.nprobe, self._ivf.nlist),
            quantizer_params=faiss.SearchParametersHNSW(efSearch=self.ef_search),
            sel=None if excluded is None else selector(len(self), excluded),
        )
        is_padded = isinstance(self._faiss, faiss.IndexPreTransform)
        given = faiss.SearchParametersPreTransform(index_params=parameters) if is_padded else parameters
        return sorted_neighbours(*self._faiss.search(vectors, k, params=given))

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up, quantised as they were."""
        self._unmap()
        remove_from_lists(self._faiss, self._ivf, is_removed)

    def fit_digest(self) -> str:
        """Names what was fitted: centroids and quantiser."""
        return fit_digest(self._faiss, self._ivf)

    def merge(self, other: HnswIvfPq) -> None:
        """Append the rows of an index that was fitted the same, quantised as they are."""
        self._unmap()
        append_lists(self._faiss, self._ivf, other._ivf)

    def save(self, path: Path) -> None:
        """Write one faiss file."""
        write_faiss(self._faiss, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._faiss = read_faiss(path, self.mapped)
        self._mapped_file = path if self.mapped else None

    def describe(self) -> dict[str, Any]:
        """What the index is after fitting, for the manifest."""
        fitted = asdict(_Shape(self._ivf.nlist, self._ivf.pq.nbits))
        return {"M": self.M, "m": self.m, **fitted, "dim": self._ivf.d, "code_size_bytes": self._ivf.code_size}

    def __len__(self) -> int:
        return 0 if self._faiss is None else int(self._faiss.ntotal)

    @property
    def _ivf(self) -> Any:
        """The inverted lists, below the padding where there is one."""
        is_padded = isinstance(self._faiss, faiss.IndexPreTransform)
        return faiss.downcast_index(self._faiss.index) if is_padded else self._faiss

    def _unmap(self) -> None:
        if self._mapped_file is not None:
            self._faiss, self._mapped_file = read_faiss(self._mapped_file), None

    def _empty(self, dim: int, shape: _Shape) -> Any:
        padded_dim = -(-dim // self.m) * self.m
        index = self._empty_ivf(padded_dim, shape)
        if padded_dim == dim:
            return index
        return faiss.IndexPreTransform(faiss.RemapDimensionsTransform(dim, padded_dim, False), index)

    def _empty_ivf(self, dim: int, shape: _Shape) -> Any:
        centroids = faiss.IndexHNSWFlat(dim, self.M)
        centroids.hnsw.efConstruction = self.ef_construction
        centroids.hnsw.efSearch = self.ef_search
        index = faiss.IndexIVFPQ(centroids, dim, shape.nlist, self.m, shape.nbits)
        index.nprobe = min(self.nprobe, shape.nlist)
        # Silences one warning per sub-vector; what is too small was lowered and logged by `_fitted`.
        index.pq.cp.min_points_per_centroid = 1
        return index


def _fitted(asked: _Shape, n_vectors: int) -> _Shape:
    if n_vectors < 2:
        raise ConfigError(f"index hnsw_ivfpq: {n_vectors} training vector, expected at least 2; use index=flat")
    fitted = replace(
        asked,
        nlist=min(asked.nlist, max(1, n_vectors // _VECTORS_PER_LIST)),
        nbits=min(asked.nbits, n_vectors.bit_length() - 1),  # 2 ** nbits centroids per sub-vector
    )
    if fitted != asked:
        _log.warning("index hnsw_ivfpq: %s lowered to %s for %d training vectors", asked, fitted, n_vectors)
    return fitted
