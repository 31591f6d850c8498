"""Rows in one piece of memory that grows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

_GROWTH = 1.5
_ROWS_PER_COPY = 10_000


class GrowingRows:
    """Vectors that are appended and taken out.

    They lie in an array of numpy, which asks the system for large pages; with small ones, as faiss has, a pass over
    100 MB took up to a third longer.

    Args:
        rows: the first of them; the array is kept.
    """

    def __init__(self, rows: Float32[np.ndarray, "row dim"]) -> None:
        self._memory = rows
        self._n_rows = len(rows)

    @property
    def rows(self) -> Float32[np.ndarray, "row dim"]:
        """All of them, as they lie; until the next change."""
        return self._memory[: self._n_rows]

    def append(self, rows: Float32[np.ndarray, "row dim"]) -> None:
        """Put rows behind those that are there."""
        n_rows = self._n_rows + len(rows)
        if n_rows > len(self._memory):
            memory = np.empty((max(n_rows, int(_GROWTH * self._n_rows)), rows.shape[1]), np.float32)
            memory[: self._n_rows] = self.rows
            self._memory = memory
        self._memory[self._n_rows : n_rows] = rows
        self._n_rows = n_rows

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up, in place."""
        kept = np.flatnonzero(~is_removed)
        for start in range(0, len(kept), _ROWS_PER_COPY):
            part = kept[start : start + _ROWS_PER_COPY]
            self._memory[start : start + len(part)] = self._memory[part]
        self._n_rows = len(kept)
