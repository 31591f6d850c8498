"""The tree of ScaNN, whose leaves hold quantised rows that are reordered by the rows themselves; optional.

Source: google-research/google-research/scann; Guo et al., "Accelerating large-scale inference with anisotropic vector
quantization", 2020, and Sun et al., "SOAR: improved indexing for approximate nearest neighbor search", 2023. It cannot
leave out rows from Python, so more are asked for and the excluded ones are dropped. It is built from all rows at once.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from src.errors import ConfigError
from src.index.indexes.checks import check_positive, check_search, check_unit_norm, checked
from src.index.indexes.optional import optional_package
from src.index.indexes.over_fetch import Found, over_fetched
from src.index.indexes.scann_files import pack, unpacked
from src.index.indexes.spool import Spool
from src.interfaces import CodeKind, Codes, Neighbours

_MODULE = "scann.scann_ops.py.scann_ops_pybind"
_MIN_ROWS = 16  # as many as its quantiser has centres; fewer are searched one by one
_DIMS_PER_BLOCK = 2
_ANISOTROPIC_THRESHOLD = 0.2
_SOAR_LAMBDA = 1.5


class ScannTree:
    """Squared L2 distances of the rows in the leaves that are visited; it may find fewer than `k`.

    Args:
        metric: `cosine` takes unit vectors and finds them by inner product, for which ScaNN's anisotropic quantiser
            and its second leaf of each row (SOAR) are made; `l2` takes any.
        n_leaves: of the tree; None for the square root of the number of rows.
        n_leaves_to_search: visited per query.
        n_reordered: rows of each query whose distance is computed in float32, at least `k`.
        n_threads: that build.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean, approximate"

    def __init__(
        self, metric: str, n_leaves: int | None, n_leaves_to_search: int, n_reordered: int, n_threads: int
    ) -> None:
        if metric not in ("cosine", "l2"):
            raise ConfigError(f"index scann: metric is {metric!r}, expected cosine or l2")
        check_positive(
            "scann",
            n_leaves=1 if n_leaves is None else n_leaves,
            n_leaves_to_search=n_leaves_to_search,
            n_reordered=n_reordered,
            n_threads=n_threads,
        )
        self.metric = metric
        self.n_leaves = n_leaves
        self.n_leaves_to_search = n_leaves_to_search
        self.n_reordered = n_reordered
        self.n_threads = n_threads
        self._rows = Spool("float32")
        self._tree: Any = None

    def train(self, sample: Codes) -> None:
        """Nothing is fitted before all rows are there; the sample is only checked."""
        optional_package(_MODULE)
        self._checked(sample)

    def add(self, codes: Codes) -> None:
        """Append codes; the tree is built anew when it is next asked for.

        Raises:
            HistoseekError: codes of the wrong kind, size or length, or not finite.
        """
        self._rows.append(self._checked(codes))
        self._tree = None

    def finish(self) -> None:
        """Build the tree."""
        if self._tree is None and len(self):
            self._tree = self._built()

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query among those found."""
        check_search(k, len(self), excluded, "scann")
        vectors = self._checked(queries)
        self.finish()
        return over_fetched(lambda n_wanted: self._found(vectors, n_wanted), len(self), k, excluded)

    def codes(self) -> Codes:
        """Of every row."""
        return Codes(self._rows.rows.copy())

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up, and the tree is built anew from them."""
        self._rows.remove(is_removed)
        self._tree = None

    def save(self, path: Path) -> None:
        """Write ScaNN's files as one."""
        self.finish()
        pack(self._tree, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        with unpacked(path) as folder:
            self._tree = optional_package(_MODULE).load_searcher(str(folder), assets_backcompat_shim=False)
            self._rows.load(folder / "dataset.npy")  # mapped, so that it outlives the folder
        self._tree.set_num_threads(self.n_threads)

    def describe(self) -> dict[str, Any]:
        """What the index is, for the manifest."""
        return {"metric": self.metric, "n_leaves": self._n_leaves, "dim": self._rows.rows.shape[1]}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def _n_leaves(self) -> int:
        return min(len(self), self.n_leaves or math.isqrt(len(self)))

    def _built(self) -> Any:
        measure = "dot_product" if self.metric == "cosine" else "squared_l2"
        builder = optional_package(_MODULE).builder(self._rows.rows, 1, measure)
        if len(self) < _MIN_ROWS:
            builder = builder.score_brute_force()
        else:
            spilling = {"soar_lambda": _SOAR_LAMBDA} if self.metric == "cosine" else {}
            builder = builder.tree(
                self._n_leaves,
                min(self._n_leaves, self.n_leaves_to_search),
                random_init=False,  # k-means++, which has a seed; the default has none
                **spilling,
            )
            builder = builder.score_ah(_DIMS_PER_BLOCK, anisotropic_quantization_threshold=_ANISOTROPIC_THRESHOLD)
            builder = builder.reorder(self.n_reordered)
        tree = builder.set_n_training_threads(self.n_threads).build()
        tree.set_num_threads(self.n_threads)
        return tree

    def _found(self, vectors: Float32[np.ndarray, "query dim"], n_wanted: int) -> Found:
        n_leaves = min(self._n_leaves, self.n_leaves_to_search)
        rows, found = self._tree.search_batched(vectors, n_wanted, max(self.n_reordered, n_wanted), n_leaves)
        distances = np.maximum(0, 2 - 2 * found) if self.metric == "cosine" else found
        is_missing = np.isnan(found)
        return np.where(is_missing, np.float32(np.inf), distances), np.where(is_missing, -1, rows.astype(np.int64))

    def _checked(self, codes: Codes) -> Float32[np.ndarray, "row dim"]:
        vectors = checked(codes, self.accepts, self._rows.rows.shape[1] if len(self) else None, "scann")
        if self.metric == "cosine":
            check_unit_norm(vectors, "scann")
        return vectors
