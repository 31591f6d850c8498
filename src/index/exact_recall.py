"""What an approximate index loses: the share of the exact nearest rows that it returns.

Every index is measured against exact Euclidean search over the same codes under the same exclusions; on unit vectors
that is the order of the cosine. An index that binarises its codes (ITQ-LSH) is therefore measured against the float
vectors that came in, which is the loss that HERE compares, and not against exact search over its own signs.
A returned row counts when it is as near as the k-th exact one, so that ties and rounding cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from src.errors import ConfigError, IndexMismatch
from src.index.engine import RetrievalEngine
from src.index.mosaics.standing import standing_for
from src.interfaces import Codes, FeatureStore, SlideFeatures

_TOLERANCE = 1e-6
_MAX_DISTANCES = 1 << 24  # 64 MiB of float32


@dataclass(frozen=True)
class _Asked:
    """Codes of a query that wait to be measured, what the index found for each, and the rows it may not find."""

    query_id: str
    codes: Float32[np.ndarray, "code dim"]
    found: Int64[np.ndarray, "code k"]
    excluded: Bool[np.ndarray, " row"]


class ExactRecall:
    """Collects queries and measures them in blocks of bounded memory.

    Args:
        engine: holds the database.
        vectors: the code of every row of its index.
        k: exact nearest rows that should be found.
    """

    def __init__(self, engine: RetrievalEngine, vectors: Float32[np.ndarray, "row dim"], k: int) -> None:
        self.k = k
        self._engine = engine
        self._vectors = vectors
        self._squared_norms = np.einsum("ij,ij->i", vectors, vectors)
        self._block = max(1, _MAX_DISTANCES // len(vectors))
        self._waiting: list[_Asked] = []
        self._n_waiting = 0
        self._shares: dict[str, list[Float64[np.ndarray, " code"]]] = {}

    def add(self, query: SlideFeatures, excluded: Bool[np.ndarray, " row"]) -> None:
        """Search for a query's codes once more, for exactly `k` rows, and keep the answers to be measured.

        A query that may find fewer than `k` rows is measured by those; one that may find none has no recall (NaN).
        """
        self._shares[query.slide_id] = []
        k = min(self.k, int((~excluded).sum()))
        if k == 0:
            return
        codes = self._engine.query_codes(query)
        for start in range(0, len(codes), self._block):
            part = Codes(codes.values[start : start + self._block])
            found = self._engine.index.search(part, k, excluded).rows
            self._waiting.append(_Asked(query.slide_id, part.values, found, excluded))
            self._n_waiting += len(part)
            if self._n_waiting >= self._block:
                self._measure()

    def values(self) -> dict[str, float]:
        """Recall of every query by its id, 0 to 1, mean over its codes."""
        self._measure()
        return {
            query: float(np.concatenate(parts).mean()) if parts else math.nan for query, parts in self._shares.items()
        }

    def _measure(self) -> None:
        for asked, distances in zip(self._waiting, self._distances(), strict=True):
            self._shares[asked.query_id].append(self._share_found(asked, distances))
        self._waiting.clear()
        self._n_waiting = 0

    def _distances(self) -> Iterator[Float32[np.ndarray, "code row"]]:
        """Of each waiting query to every row: squared Euclidean, less the code's own norm, which changes no order."""
        if not self._waiting:
            return
        codes = np.concatenate([asked.codes for asked in self._waiting])
        ends = np.cumsum([len(asked.codes) for asked in self._waiting])[:-1]
        yield from np.split(self._squared_norms - 2 * codes @ self._vectors.T, ends)

    def _share_found(self, asked: _Asked, distances: Float32[np.ndarray, "code row"]) -> Float64[np.ndarray, " code"]:
        distances[:, asked.excluded] = np.inf
        k = asked.found.shape[1]
        nearest = np.argpartition(distances, k - 1, axis=1)[:, :k]
        farthest = self._exact_distances(asked.codes, nearest).max(axis=1, keepdims=True)
        is_near = self._exact_distances(asked.codes, asked.found) <= farthest + _TOLERANCE * np.maximum(1, farthest)
        share: Float64[np.ndarray, " code"] = (is_near & (asked.found >= 0)).mean(axis=1)
        return share

    def _exact_distances(
        self, codes: Float32[np.ndarray, "code dim"], rows: Int64[np.ndarray, "code k"]
    ) -> Float64[np.ndarray, "code k"]:
        differences = self._vectors[rows].astype(np.float64) - codes[:, None]
        squared: Float64[np.ndarray, "code k"] = np.square(differences).sum(axis=2)
        return squared


@contextmanager
def exact_recall(
    engine: RetrievalEngine, database: FeatureStore, k: int | None, scratch: Path
) -> Iterator[ExactRecall | None]:
    """Measure an engine's index for the length of a run.

    Args:
        engine: holds the database.
        database: the features that it was built from.
        k: exact nearest rows that should be found; None measures nothing.
        scratch: folder for the codes of all rows, 4 bytes per dimension and row, which are removed again.

    Raises:
        ConfigError: `k` below 1, or an engine whose codes are binary.
        IndexMismatch: the features are not those of the index.
    """
    if k is None:
        yield None
        return
    if k < 1 or engine.code.kind != "float":
        raise ConfigError(
            f"eval.recall_against_exact is {k} with {engine.code.kind} codes, expected at least 1 with float codes; "
            "null turns it off"
        )
    with TemporaryDirectory(dir=scratch, prefix=".exact") as folder:
        yield ExactRecall(engine, _written(engine, database, Path(folder) / "vectors.npy"), k)


def _written(engine: RetrievalEngine, database: FeatureStore, path: Path) -> Float32[np.ndarray, "row dim"]:
    """The code of every row, slide after slide, in a file that is read where it is needed."""
    vectors: np.memmap | None = None
    end = 0
    for place, slide_id in enumerate(engine.rows.slide_ids):
        slide = database.load(slide_id)
        codes = engine.code.encode(standing_for(engine.mosaic, slide)[1]).values
        if vectors is None:
            shape = (len(engine.rows), codes.shape[1])
            vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        start, end = end, end + len(codes)
        if np.count_nonzero(engine.rows.slide_of_row == place) != len(codes):
            raise IndexMismatch(f"{slide_id}: its features are not those of the index; build it with build_index.py")
        vectors[start:end] = codes
    assert vectors is not None
    return vectors
