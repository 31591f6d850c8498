"""Inverted lists with any of faiss's codes, their centroids found through an HNSW graph.

Source: faiss (`index_factory`); its fast-scan codes are those of Andre et al., "Quicker ADC", 2019, RaBitQ is that of
Gao and Long, "RaBitQ", SIGMOD 2024. A row costs its code and 8 bytes of id: 40 for PQ64x4fs and about 48 for
RaBitQfs of 256 dimensions, 264 for SQ8.
"""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, Float32

from src.errors import ConfigError
from src.index.indexes.checks import check_positive, check_search, checked, selector, sorted_neighbours
from src.index.indexes.coarse import VECTORS_PER_CENTROID, fit_centroids
from src.index.indexes.faiss_files import read_faiss, write_faiss
from src.index.indexes.merging import append_lists, fit_digest
from src.index.indexes.removal import remove_from_lists
from src.interfaces import CodeKind, Codes, Neighbours
from src.models.one_thread import one_thread

_log = logging.getLogger(__name__)

_CODES = re.compile(r"Flat|SQ[468]|PQ(\d+)x(8|4fs)|RaBitQ(fs)?\d?")
_ROTATIONS = ("none", "hadamard", "random", "opq")
_VECTORS_PER_LIST = 39  # faiss warns below it
_LISTS_PER_SQRT_ROWS = 4
_BREADTH_OF_ADDING = 8  # faiss's 16 take half as long again, and nearly all rows come into the same list
_FEWEST_TRAINING_VECTORS = 256  # what one byte of a product quantiser is fitted on


def lists_for(n_rows: int, n_training: int) -> int:
    """How many lists suit a database: about 4 sqrt(n), and no more than the training vectors can fit.

    >>> lists_for(1_000_000, 500_000), lists_for(1_000_000, 50_000), lists_for(100, 10)
    (4000, 1282, 1)
    """
    return max(1, min(round(_LISTS_PER_SQRT_ROWS * math.sqrt(n_rows)), n_training // _VECTORS_PER_LIST))


def next_power_of_two(n: int) -> int:
    """The smallest power of two that is not smaller; so many dimensions a Hadamard rotation gives.

    >>> next_power_of_two(131), next_power_of_two(256), next_power_of_two(1)
    (256, 256, 1)
    """
    return 1 << (n - 1).bit_length()


class Ivf:
    """Approximate squared L2 distances over the rows of the `nprobe` nearest lists.

    Vectors are padded with zeros to a dimension that the code divides, which changes no distance. Fewer training
    vectors than 39 per list lower `nlist`, with a warning; fewer than 256 are repeated.

    Args:
        code: what is kept of a row, in faiss's words: `Flat`, `SQ8`, `PQ32x8` (32 bytes), `PQ64x4fs` (64 half bytes,
            scanned in registers), `RaBitQfs` (a bit per dimension, likewise).
        rotation: before the code: `none`; `hadamard` or `random`, which spread variance over the dimensions, as a fast
            scan needs it, since it states the distances of all sub-vectors in steps of one size; `opq` (learned).
            `hadamard` gives a power of two of dimensions, and is the faster of the two the more there are.
        nlist: inverted lists; None for as many as suit the training sample.
        nprobe: lists that a query visits.
        M: links per node of the HNSW graph over the centroids.
        efSearch: breadth of the search for centroids, at least `nprobe`.
        efConstruction: breadth of the building of the graph.
        mapped: leave the codes in the file after loading; they are read into memory when the index changes.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean, approximate"

    def __init__(
        self,
        code: str,
        rotation: str,
        nlist: int | None,
        nprobe: int,
        M: int,
        efSearch: int,
        efConstruction: int,
        mapped: bool = False,
    ) -> None:
        check_positive("ivf", nlist=nlist or 1, nprobe=nprobe, M=M, efSearch=efSearch, efConstruction=efConstruction)
        if not _CODES.fullmatch(code):
            raise ConfigError(f"index ivf: code is {code!r}, expected Flat, SQ8, PQ32x8, PQ64x4fs, RaBitQfs or alike")
        if rotation not in _ROTATIONS or (rotation == "opq" and not code.startswith("PQ")):
            raise ConfigError(
                f"index ivf: rotation is {rotation!r} for {code}, expected none, hadamard, random, or opq for a PQ"
            )
        self.code = code
        self.rotation = rotation
        self.nlist = nlist
        self.nprobe = nprobe
        self.M = M
        self.ef_search = efSearch
        self.ef_construction = efConstruction
        self.mapped = mapped
        self._faiss: Any = None
        self._mapped_file: Path | None = None

    def train(self, sample: Codes) -> None:
        """Fit rotation, centroids and code."""
        vectors = checked(sample, self.accepts, None, "ivf")
        nlist = self._fitted_nlist(len(vectors))
        self._faiss = self._empty(vectors.shape[1], nlist)
        with one_thread():
            vectors = _transformed(self._faiss, self._looked_at(_enough(vectors)))
            self._ivf.quantizer.add(fit_centroids(vectors, nlist))
            self._ivf.train(vectors)
        self._faiss.is_trained = True

    def add(self, codes: Codes) -> None:
        """Append codes, quantised.

        Raises:
            HistoseekError: codes of the wrong kind or size, or not finite, or an index that is not trained.
        """
        if self._faiss is None:
            raise ConfigError("index ivf is not trained; train or load it before adding codes")
        vectors = checked(codes, self.accepts, self._faiss.d, "ivf")
        self._unmap()
        self._ivf.add(_transformed(self._faiss, vectors))
        self._faiss.ntotal = self._ivf.ntotal

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query in the lists visited, which may hold fewer."""
        check_search(k, len(self), excluded, "ivf")
        vectors = checked(queries, self.accepts, self._faiss.d, "ivf")
        nprobe = min(self.nprobe, self._ivf.nlist)
        parameters = faiss.SearchParametersIVF(
            nprobe=nprobe,
            quantizer_params=faiss.SearchParametersHNSW(efSearch=max(self.ef_search, nprobe)),
            sel=None if excluded is None else selector(len(self), excluded),
        )
        given = faiss.SearchParametersPreTransform(index_params=parameters)
        return sorted_neighbours(*self._faiss.search(vectors, k, params=given))

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up, coded as they were."""
        self._unmap()
        remove_from_lists(self._faiss, self._ivf, is_removed)

    def fit_digest(self) -> str:
        """Names what was fitted: rotation, centroids and code."""
        return fit_digest(self._faiss, self._ivf)

    def merge(self, other: Ivf) -> None:
        """Append the rows of an index that was fitted the same, coded as they are."""
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
        ivf = self._ivf
        shape = {"nlist": ivf.nlist, "dim": ivf.d, "code_size_bytes": ivf.code_size}
        return {"code": self.code, "rotation": self.rotation, "M": self.M, **shape}

    def __len__(self) -> int:
        return 0 if self._faiss is None else int(self._faiss.ntotal)

    @property
    def _ivf(self) -> Any:
        """The inverted lists, below padding and rotation."""
        return faiss.downcast_index(self._faiss.index)

    def _unmap(self) -> None:
        if self._mapped_file is not None:
            self._faiss, self._mapped_file = read_faiss(self._mapped_file), None

    def _fitted_nlist(self, n_training: int) -> int:
        if self.nlist is None:
            return lists_for(n_training, n_training)
        most = lists_for(self.nlist**2, n_training)
        if most < self.nlist:
            _log.warning("index ivf: nlist lowered from %d to %d for %d training vectors", self.nlist, most, n_training)
        return min(most, self.nlist)

    def _looked_at(self, vectors: Float32[np.ndarray, "row dim"]) -> Float32[np.ndarray, "fewer dim"]:
        """As many training vectors as k-means and the code look at, so that the others need not be rotated."""
        n = max(VECTORS_PER_CENTROID * self._ivf.nlist, self._ivf.train_encoder_num_vectors())
        if n >= len(vectors) or self.rotation == "opq":
            return vectors
        drawn: np.ndarray = vectors[np.sort(np.random.default_rng(0).permutation(len(vectors))[:n])]
        return drawn

    def _empty(self, dim: int, nlist: int) -> Any:
        recipe = f"{self._recipe_of_rotation(dim)}IVF{nlist}_HNSW{self.M},{self.code}"
        index = faiss.index_factory(dim, recipe)
        ivf = faiss.downcast_index(index.index)
        graph = faiss.downcast_index(ivf.quantizer).hnsw
        graph.efConstruction, graph.efSearch = self.ef_construction, _BREADTH_OF_ADDING
        _settle(index, ivf)
        return index

    def _recipe_of_rotation(self, dim: int) -> str:
        n_parts = _n_parts(self.code)
        padded_dim = -(-dim // n_parts) * n_parts
        if self.rotation == "hadamard" and next_power_of_two(padded_dim) % n_parts:
            raise ConfigError(
                f"index ivf: rotation=hadamard gives {next_power_of_two(padded_dim)} dimensions, which {self.code} "
                "does not divide; choose a power of two of sub-vectors, or rotation=random"
            )
        rotation = {"none": "", "hadamard": "HR,", "random": f"RR{padded_dim},", "opq": f"OPQ{n_parts},"}
        return f"Pad{padded_dim},{rotation[self.rotation]}"


def _n_parts(code: str) -> int:
    """What has to divide the dimension: the sub-vectors of a product quantiser, or a byte of other codes."""
    parts = re.match(r"PQ(\d+)", code)
    return int(parts[1]) if parts else 8


def _transformed(index: Any, vectors: Float32[np.ndarray, "row dim"]) -> Float32[np.ndarray, "row padded_dim"]:
    """Vectors as the lists see them: padded and rotated, after fitting what has to be fitted for that."""
    for place in range(index.chain.size()):
        transform = faiss.downcast_VectorTransform(index.chain.at(place))
        if not transform.is_trained:
            transform.train(vectors)
        vectors = _applied(transform, vectors)
    return vectors


def _applied(transform: Any, vectors: Float32[np.ndarray, "row dim"]) -> Float32[np.ndarray, "row new_dim"]:
    """In double precision where matrices are multiplied, which round a row by its place: its code shall be its own."""
    if not isinstance(transform, faiss.LinearTransform):
        applied: np.ndarray = transform.apply(vectors)
        return applied
    matrix = faiss.vector_to_array(transform.A).reshape(transform.d_out, transform.d_in)
    return np.asarray(vectors.astype(np.float64) @ matrix.T.astype(np.float64), np.float32)


def _settle(index: Any, ivf: Any) -> None:
    """What training costs; and no warning per sub-vector, as a sample that is too small has lowered `nlist` already."""
    if hasattr(ivf, "pq"):
        ivf.pq.cp.min_points_per_centroid = 1
    if isinstance(ivf, faiss.IndexIVFPQ):
        ivf.do_polysemous_training = False  # 46 s of CPU for an order of the centroids that no search here uses
    rotation = faiss.downcast_VectorTransform(index.chain.at(index.chain.size() - 1))
    if isinstance(rotation, faiss.OPQMatrix):
        rotation.pq = faiss.ProductQuantizer(ivf.d, rotation.M, 8)
        rotation.pq.this.disown()
        rotation.pq.cp.min_points_per_centroid = 1


def _enough(vectors: Float32[np.ndarray, "row dim"]) -> Float32[np.ndarray, "more dim"]:
    if len(vectors) >= _FEWEST_TRAINING_VECTORS:
        return vectors
    _log.warning(
        "index ivf: %d training vectors, repeated to %d; index=flat is exact", len(vectors), _FEWEST_TRAINING_VECTORS
    )
    return np.resize(vectors, (_FEWEST_TRAINING_VECTORS, vectors.shape[1]))
