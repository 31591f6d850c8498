"""The rows of an index that lie in a database, by their keys there: whole numbers that ascend and are never used again.

What was added at once, as a rule one slide, is one part and has consecutive keys. Rows that left take their keys with
them, so the keys of the others are a few runs for any number of rows, and a mask over rows becomes runs of keys or
whole parts, which a database can filter by inside its own search.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int64

Runs = Int64[np.ndarray, "_ 3"]
"""First key, key after the last, and part, of runs of consecutive keys; ascending."""

NO_RUNS = np.zeros((0, 3), np.int64)


@dataclass(frozen=True)
class RowKeys:
    """The key of each row, ascending with the row.

    Attributes:
        runs: whose keys are those of the rows, one run per part where no row of it has left.
    """

    runs: Runs = field(default_factory=lambda: NO_RUNS)

    def appended(self, n_rows: int, first_key: int, part: int) -> RowKeys:
        """With one more part at the end.

        >>> RowKeys().appended(3, 0, 0).appended(2, 3, 1).runs.tolist()
        [[0, 3, 0], [3, 5, 1]]
        """
        return RowKeys(np.vstack([self.runs, [first_key, first_key + n_rows, part]]))

    def of_rows(self, is_taken: Bool[np.ndarray, " row"]) -> Runs:
        """The keys of the rows that are taken.

        >>> RowKeys(np.array([[0, 5, 0], [9, 12, 1]])).of_rows(np.array([1, 1, 0, 1, 1, 1, 0, 1], dtype=bool)).tolist()
        [[0, 2, 0], [3, 5, 0], [9, 10, 1], [11, 12, 1]]
        """
        firsts = self._first_rows
        starts = np.union1d(firsts, np.flatnonzero(is_taken[1:] != is_taken[:-1]) + 1)
        ends = np.append(starts[1:], len(is_taken))
        starts, ends = starts[is_taken[starts]], ends[is_taken[starts]]
        run = np.searchsorted(firsts, starts, side="right") - 1
        shifts = self.runs[run, 0] - firsts[run]
        return np.stack([starts + shifts, ends + shifts, self.runs[run, 2]], axis=1)

    def rows_of(self, keys: Int64[np.ndarray, "query k"]) -> Int64[np.ndarray, "query k"]:
        """The row of each key, -1 where it is of none.

        >>> RowKeys(np.array([[0, 5, 0], [9, 12, 1]])).rows_of(np.array([[4, 5, 9, 12, -1]])).tolist()
        [[4, -1, 5, -1, -1]]
        """
        run = np.maximum(np.searchsorted(self.runs[:, 0], keys, side="right") - 1, 0)
        is_row = (keys >= self.runs[run, 0]) & (keys < self.runs[run, 1])
        rows: np.ndarray = np.where(is_row, keys - self.runs[run, 0] + self._first_rows[run], -1)
        return rows

    def __len__(self) -> int:
        return n_keys(self.runs)

    @property
    def _first_rows(self) -> Int64[np.ndarray, " run"]:
        lengths = self.runs[:, 1] - self.runs[:, 0]
        firsts: np.ndarray = np.cumsum(lengths) - lengths
        return firsts


@dataclass(frozen=True)
class Choice:
    """What a search may answer, in the terms of a database; every key there is in one of the two.

    Attributes:
        allowed: keys that may be answered.
        forbidden: those that may not, of rows that are excluded or have left.
    """

    allowed: Runs
    forbidden: Runs


def n_keys(runs: Runs) -> int:
    """How many keys there are in runs."""
    return int((runs[:, 1] - runs[:, 0]).sum())


def keys_in(runs: Runs) -> Int64[np.ndarray, " key"]:
    """Every key of runs.

    >>> keys_in(np.array([[0, 2, 0], [5, 7, 1]])).tolist()
    [0, 1, 5, 6]
    """
    lengths = runs[:, 1] - runs[:, 0]
    keys: np.ndarray = np.arange(lengths.sum()) + np.repeat(runs[:, 0] - np.cumsum(lengths) + lengths, lengths)
    return keys
