"""Where `rerank` finds the vectors of its candidates: in a mapped file of float16, or as bytes in memory."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float16, Float32, Int64

from src.data.files import bytes_digest, written_whole
from src.errors import ConfigError
from src.index.indexes.checks import check_positive
from src.index.indexes.spool import Spool

_READERS = 16
_LEVELS = 255


@runtime_checkable
class RowStore(Protocol):
    """Vectors by their row."""

    def train(self, sample: Float32[np.ndarray, "row dim"]) -> None:
        """Fit what has to be fitted."""
        ...

    def append(self, vectors: Float32[np.ndarray, "row dim"]) -> None:
        """Keep vectors; their rows follow those already there."""
        ...

    def take(self, rows: Int64[np.ndarray, " kept"]) -> Float32[np.ndarray, "kept dim"]:
        """The vectors of rows, which ascend."""
        ...

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up."""
        ...

    def fit_digest(self) -> str:
        """Names what was fitted."""
        ...

    def merge(self, other: Any) -> None:
        """Append the rows of a store of the same kind that was fitted the same."""
        ...

    def save(self, path: Path) -> None:
        """Write one file."""
        ...

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        ...

    def describe(self) -> dict[str, Any]:
        """What is kept, for the manifest."""
        ...


class Float16File:
    """Half floats in a file that is mapped, so that they take no memory but the system's page cache.

    Args:
        n_readers: threads that read a query's rows at once; None for 16 where the file is larger than half of the
            memory, else 1, as rows that lie in the cache are read faster by one.
    """

    def __init__(self, n_readers: int | None = None) -> None:
        check_positive("rerank", n_readers=n_readers or 1)
        self.n_readers = n_readers
        self._spool = Spool("float16")
        self._readers: ThreadPoolExecutor | None = None

    def train(self, sample: Float32[np.ndarray, "row dim"]) -> None:
        """Nothing has to be fitted; the sample gives the dimension."""
        self._spool.append(sample[:0])

    def append(self, vectors: Float32[np.ndarray, "row dim"]) -> None:
        """Keep vectors, rounded to 11 bits.

        Raises:
            ConfigError: values that half floats cannot hold.
        """
        largest = float(np.abs(vectors).max())
        if largest > float(np.finfo(np.float16).max):
            raise ConfigError(f"index rerank: codes reach {largest:.3g}, float16 ends at 65504; choose code=l2")
        self._spool.append(vectors.astype(np.float16))

    def take(self, rows: Int64[np.ndarray, " kept"]) -> Float32[np.ndarray, "kept dim"]:
        """The vectors of rows; readers wait for the disk side by side."""
        mapped, n_readers = self._spool.rows, self._n_readers()
        if n_readers == 1:
            return _widened(mapped.take(rows, axis=0))
        if self._readers is None:
            self._readers = ThreadPoolExecutor(n_readers)
            self._spool.expect_scattered_reads()
        parts = self._readers.map(mapped.take, np.array_split(rows, n_readers), [0] * n_readers)
        return _widened(np.concatenate(list(parts)))

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Write the others to a temporary file, which is mapped until it is saved."""
        self._spool.remove(is_removed)

    def fit_digest(self) -> str:
        """The same for all, as nothing is fitted."""
        return ""

    def merge(self, other: Float16File) -> None:
        """Append the rows of another file."""
        self._spool.extend(other._spool)

    def save(self, path: Path) -> None:
        """Write one .npy file, two bytes per value."""
        self._spool.save(path)

    def load(self, path: Path) -> None:
        """Map what `save` wrote."""
        self._spool.load(path)

    def describe(self) -> dict[str, Any]:
        """What is kept, for the manifest."""
        return {"vectors": "float16, mapped"}

    def _n_readers(self) -> int:
        if self.n_readers is not None:
            return self.n_readers
        memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return _READERS if 2 * self._spool.rows.nbytes > memory_bytes else 1


class Sq8InMemory:
    """One byte per dimension, between the ends that the dimension has in the training sample."""

    def __init__(self) -> None:
        self._lowest = self._step = np.zeros(0, np.float32)
        self._blocks: list[np.ndarray] = []

    def train(self, sample: Float32[np.ndarray, "row dim"]) -> None:
        """Find the ends of each dimension."""
        self._lowest = sample.min(axis=0)
        self._step = np.maximum((sample.max(axis=0) - self._lowest) / _LEVELS, np.finfo(np.float32).tiny)
        self._blocks = [np.zeros((0, sample.shape[1]), np.uint8)]

    def append(self, vectors: Float32[np.ndarray, "row dim"]) -> None:
        """Keep vectors; what lies outside of the ends is set to them."""
        self._blocks.append(np.clip(np.rint((vectors - self._lowest) / self._step), 0, _LEVELS).astype(np.uint8))

    def take(self, rows: Int64[np.ndarray, " kept"]) -> Float32[np.ndarray, "kept dim"]:
        """The vectors of rows."""
        vectors: np.ndarray = self._codes[rows] * self._step + self._lowest
        return vectors

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the ends stay."""
        self._blocks = [self._codes[~is_removed]]

    def fit_digest(self) -> str:
        """Names the ends."""
        return bytes_digest(self._lowest.tobytes() + self._step.tobytes())

    def merge(self, other: Sq8InMemory) -> None:
        """Append the bytes of another."""
        self._blocks.append(other._codes)

    def save(self, path: Path) -> None:
        """Write bytes and ends to one .npz file."""
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, codes=self._codes, lowest=self._lowest, step=self._step)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as parts:
            self._blocks = [parts["codes"]]
            self._lowest, self._step = parts["lowest"], parts["step"]

    def describe(self) -> dict[str, Any]:
        """What is kept, for the manifest."""
        return {"vectors": "SQ8, in memory"}

    @property
    def _codes(self) -> np.ndarray:
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0]


def _widened(halves: Float16[np.ndarray, "row dim"]) -> Float32[np.ndarray, "row dim"]:
    """As `astype` gives it: torch takes 13 us for 400 rows of 256, numpy 91."""
    vectors: np.ndarray = torch.from_numpy(halves).float().numpy()
    return vectors
