"""Exact distances for the best candidates of another index: small codes find them, whole vectors order them.

Source: the scheme of Jegou et al., "Searching in one billion vectors: re-rank with source coding", 2011. Candidates are
compared in float32 with what the store kept of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from src.errors import ConfigError, IncompatibleParts
from src.index.indexes.checks import check_positive, check_search, checked, sorted_neighbours
from src.index.indexes.merging import Mergeable, fit_digest_of
from src.index.indexes.removal import remove_rows
from src.index.indexes.row_stores import RowStore
from src.interfaces import CodeKind, Codes, Index, Neighbours

_VECTORS = ".vectors"
_MAX_TAKEN = 1 << 16  # vectors in memory at once


class Rerank:
    """The `k` nearest of the candidates, by squared L2 distance; equal distances go to the smaller row.

    Args:
        base: finds the candidates, among the rows that are not excluded.
        n_candidates: of each query, at least `k`.
        store: keeps the vectors.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean"

    def __init__(self, base: Index, n_candidates: int, store: RowStore) -> None:
        check_positive("rerank", n_candidates=n_candidates)
        if base.accepts != "float":
            raise IncompatibleParts(
                f"index rerank takes a base of float codes, {type(base).__name__} takes {base.accepts} ones, whose "
                "distances are exact; choose another index@index.base="
            )
        if isinstance(base, Rerank):
            raise ConfigError("index rerank: its base reranks already; choose another index@index.base=")
        self.base = base
        self.n_candidates = n_candidates
        self.store = store
        self._dim: int | None = None

    def train(self, sample: Codes) -> None:
        """Fit the base and the store."""
        self.base.train(sample)
        self.store.train(sample.values)

    def add(self, codes: Codes) -> None:
        """Append codes to both."""
        vectors = checked(codes, self.accepts, self._dim, "rerank")
        self.base.add(codes)
        self.store.append(vectors)
        self._dim = vectors.shape[1]

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest candidates of each query; fewer where the base finds fewer."""
        check_search(k, len(self), excluded, "rerank")
        vectors = checked(queries, self.accepts, self._dim, "rerank")
        candidates = np.sort(self.base.search(queries, max(k, self.n_candidates), excluded).rows, axis=1)
        distances = np.stack([self._distances(query, rows) for query, rows in zip(vectors, candidates, strict=True)])
        nearest = sorted_neighbours(distances, candidates)
        return Neighbours(nearest.distances[:, :k], nearest.rows[:, :k])

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out of both; the others move up."""
        self.store.remove(is_removed)  # first, as it can find no room on the disk
        remove_rows(self.base, is_removed)

    def fit_digest(self) -> str | None:
        """Names what was fitted; None where the base cannot be merged."""
        of_base = fit_digest_of(self.base)
        return None if of_base is None else f"{of_base} {self.store.fit_digest()}"

    def merge(self, other: Rerank) -> None:
        """Append the rows of an index that was fitted the same."""
        assert isinstance(self.base, Mergeable)
        self.store.merge(other.store)
        self.base.merge(other.base)

    def save(self, path: Path) -> None:
        """Write the base's files, and the vectors beside them."""
        self.base.save(path)
        self.store.save(path.with_suffix(_VECTORS))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the vectors of a mapped store stay where they are."""
        self.base.load(path)
        self.store.load(path.with_suffix(_VECTORS))
        self._dim = self.store.take(np.zeros(0, np.int64)).shape[1]

    def describe(self) -> dict[str, Any]:
        """What the base became, and what is kept of the vectors."""
        return {"base": self.base.describe(), **self.store.describe()}

    def __len__(self) -> int:
        return len(self.base)

    def _distances(
        self, query: Float32[np.ndarray, " dim"], rows: Int64[np.ndarray, " candidate"]
    ) -> Float32[np.ndarray, " candidate"]:
        """Squared distance to each row; inf where the row is -1, as those before the first found are."""
        distances = np.full(len(rows), np.inf, dtype=np.float32)
        n_missing = int(np.searchsorted(rows, 0))
        for start in range(n_missing, len(rows), _MAX_TAKEN):
            apart = self.store.take(rows[start : start + _MAX_TAKEN])
            apart -= query
            distances[start : start + _MAX_TAKEN] = np.einsum("ij,ij->i", apart, apart)
        return distances
