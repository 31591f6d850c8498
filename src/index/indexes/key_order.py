"""Rows in the order of their integer keys: what SISH asks a van Emde Boas tree, asked of a sorted array.

Source: mahmoodlab/SISH (commit 42fe005), `veb.py`. Its tree has the size of the largest possible key: 2^32 places, or
34 GB, before the first row. A sorted array has the size of the rows and gives the same answers by bisection.
Differs from the tree: a key below zero has no predecessor (the tree answers nonsense where keys are below 2^32), and a
key as large as the tree can be asked for (the tree raises).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64


@dataclass(frozen=True)
class KeyOrder:
    """Distinct keys, and the rows of each.

    Attributes:
        keys: ascending, each once.
        starts: where the rows of each key start in `rows`; one more at the end.
        rows: by key, those of one key in the order they were added.
        key_of_row: place of each row's key in `keys`.
    """

    keys: Int64[np.ndarray, " key"]
    starts: Int64[np.ndarray, " key_and_end"]
    rows: Int64[np.ndarray, " row"]
    key_of_row: Int64[np.ndarray, " row"]

    @staticmethod
    def of(keys: Int64[np.ndarray, " row"]) -> KeyOrder:
        """The order of rows with these keys."""
        rows = np.argsort(keys, kind="stable")
        distinct, key_of_row, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        return KeyOrder(distinct, np.append(0, np.cumsum(sizes)), rows, key_of_row)

    def n_below(self, values: Int64[np.ndarray, "*value"]) -> Int64[np.ndarray, "*value"]:
        """How many keys are smaller than each value; the last of them is its predecessor."""
        return np.asarray(np.searchsorted(self.keys, values, side="left"))

    def n_up_to(self, values: Int64[np.ndarray, "*value"]) -> Int64[np.ndarray, "*value"]:
        """How many keys are not larger than each value; the next one is its successor."""
        return np.asarray(np.searchsorted(self.keys, values, side="right"))

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class AllowedKeys:
    """The keys that have a row left when some rows are excluded; the others are stepped over, nothing is copied.

    SISH steps over them without counting the step, which is the same.

    Attributes:
        n_keys: with those that are stepped over.
        left_out: places of the keys all of whose rows are excluded, ascending.
    """

    n_keys: int
    left_out: Int64[np.ndarray, " left_out"]

    @staticmethod
    def of(order: KeyOrder, excluded: Bool[np.ndarray, " row"] | None) -> AllowedKeys:
        """The keys of an order without these rows; time grows with the rows that are excluded."""
        if excluded is None:
            return AllowedKeys(len(order), np.empty(0, dtype=np.int64))
        keys, n_excluded = np.unique(order.key_of_row[excluded], return_counts=True)
        return AllowedKeys(len(order), keys[n_excluded == order.starts[keys + 1] - order.starts[keys]])

    def back(self, ends: Int64[np.ndarray, "*seed"], n: int) -> Int64[np.ndarray, "*seed"]:
        """Where the `n` allowed keys before each place start, or all where there are fewer.

        >>> AllowedKeys(9, np.array([3, 4])).back(np.array([6, 1]), 2).tolist()
        [2, 0]
        """
        firsts = self._places(np.maximum(self._n_allowed_before(ends) - n, 0))
        return np.asarray(np.minimum(firsts, ends))

    def ahead(self, starts: Int64[np.ndarray, "*seed"], n: int) -> Int64[np.ndarray, "*seed"]:
        """Where the `n` allowed keys from each place on end, or all where there are fewer.

        >>> AllowedKeys(9, np.array([3, 4])).ahead(np.array([2, 8]), 2).tolist()
        [6, 9]
        """
        n_allowed = self.n_keys - len(self.left_out)
        return self._places(np.minimum(self._n_allowed_before(starts) + n, n_allowed))

    def _n_allowed_before(self, places: Int64[np.ndarray, "*seed"]) -> Int64[np.ndarray, "*seed"]:
        return np.asarray(places - np.searchsorted(self.left_out, places))

    def _places(self, numbers: Int64[np.ndarray, "*seed"]) -> Int64[np.ndarray, "*seed"]:
        """Place of the allowed key with each number; the end for the number after the last."""
        return np.asarray(numbers + np.searchsorted(self._allowed_before_left_out, numbers, side="right"))

    @cached_property
    def _allowed_before_left_out(self) -> Int64[np.ndarray, " left_out"]:
        return np.asarray(self.left_out - np.arange(len(self.left_out)))
