"""Rows in the order of their integer keys: what SISH asks a van Emde Boas tree, asked of a sorted array.

Source: mahmoodlab/SISH (commit 42fe005), `veb.py`. Its tree has the size of the largest possible key: 2^32 places, or
34 GB, before the first row. A sorted array has the size of the rows and gives the same answers by bisection.
Differs from the tree: a key below zero has no predecessor (the tree answers nonsense where keys are below 2^32), and a
key as large as the tree can be asked for (the tree raises).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64


@dataclass(frozen=True)
class KeyOrder:
    """Distinct keys, and the rows of each.

    Attributes:
        keys: ascending, each once.
        starts: where the rows of each key start in `rows`; one more at the end.
        rows: by key, those of one key in the order they were added.
    """

    keys: Int64[np.ndarray, " key"]
    starts: Int64[np.ndarray, " key_and_end"]
    rows: Int64[np.ndarray, " row"]

    def n_below(self, values: Int64[np.ndarray, " value"]) -> Int64[np.ndarray, " value"]:
        """How many keys are smaller than each value; the last of them is its predecessor."""
        return np.searchsorted(self.keys, values, side="left")

    def n_up_to(self, values: Int64[np.ndarray, " value"]) -> Int64[np.ndarray, " value"]:
        """How many keys are not larger than each value; the next one is its successor."""
        return np.searchsorted(self.keys, values, side="right")

    def __len__(self) -> int:
        return len(self.keys)


def sorted_by_key(keys: Int64[np.ndarray, " row"]) -> Int64[np.ndarray, " row"]:
    """Rows in the order of their keys, those of one key in their own order."""
    return np.argsort(keys, kind="stable")


def key_order(
    keys: Int64[np.ndarray, " row"],
    by_key: Int64[np.ndarray, " row"],
    excluded: Bool[np.ndarray, " row"] | None = None,
) -> KeyOrder:
    """The rows that are not excluded.

    A key all of whose rows are excluded is left out. SISH keeps it and steps over it without counting the step, which
    is the same.

    Args:
        keys: of each row.
        by_key: as `sorted_by_key` gives it.
        excluded: rows that are left out.
    """
    rows = by_key if excluded is None else by_key[~excluded[by_key]]
    ordered = keys[rows]
    firsts = np.flatnonzero(np.diff(ordered, prepend=-1) != 0) if len(ordered) else np.empty(0, dtype=np.int64)
    return KeyOrder(ordered[firsts], np.append(firsts, len(rows)), rows)
