"""The guided search of SISH: for each patch from twenty keys around its own, step by step through the sorted keys.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `database.py`. From each seed the keys below it are visited, then those above it,
until enough keys were seen or one is met that an earlier scan has accepted. A key is accepted when its nearest barcode
is near enough. What is found is in the order of discovery.

The official code compares one barcode at a time and the same key again from every seed. Here the barcodes of all keys
that any scan can visit are compared once, and the scans only walk over those that are near enough: the answers and
their order are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from src.errors import ConfigError
from src.index.indexes.key_order import AllowedKeys
from src.index.indexes.near_keys import Found, KeyedBarcodes, NearKeys, ranges
from src.models.vqvae.integer_key import SUM_STEP

_AT_ONCE = 128  # queries, of which each compares some 15,000 rows


class Queries(NamedTuple):
    """What is searched for: keys, and barcodes in whole words."""

    keys: Int64[np.ndarray, " query"]
    barcodes: UInt8[np.ndarray, "query byte"]


@dataclass(frozen=True)
class GuidedSearch:
    """How far the scans go, and what they accept.

    Attributes:
        n_seeds: T, seeds below and above the key, itself twice among them.
        sum_step: C, distance of two seeds in units of the coarsest sum.
        pre_step: keys seen below a seed.
        succ_step: keys seen above a seed.
        max_distance: of an accepted barcode, bits.
        include_equal_key: also look at the seed's own key, which the official code steps over.
        all_entries_per_key: answer all near rows of an accepted key, of which the official code answers the nearest.
    """

    n_seeds: int
    sum_step: int
    pre_step: int
    succ_step: int
    max_distance: int
    include_equal_key: bool
    all_entries_per_key: bool

    def __post_init__(self) -> None:
        least = {"n_seeds": 1, "sum_step": 1, "pre_step": 0, "succ_step": 0, "max_distance": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"index guided: {name} is {getattr(self, name)}, expected at least {value}")

    def discovered(
        self, queries: Queries, database: KeyedBarcodes, excluded: Bool[np.ndarray, " row"] | None
    ) -> list[Found]:
        """What each query finds, in the order of discovery.

        Args:
            queries: what is searched for.
            database: what is searched.
            excluded: rows that are left out.
        """
        allowed = AllowedKeys.of(database.order, excluded)
        blocks = (Queries(*(part[i : i + _AT_ONCE] for part in queries)) for i in range(0, len(queries.keys), _AT_ONCE))
        return [found for block in blocks for found in self._of_block(block, database, allowed, excluded)]

    def _of_block(
        self,
        queries: Queries,
        database: KeyedBarcodes,
        allowed: AllowedKeys,
        excluded: Bool[np.ndarray, " row"] | None,
    ) -> list[Found]:
        windows = self._windows(queries.keys, database, allowed)
        near = NearKeys.of(queries.barcodes, _united(windows[:, [0, 3]]), database, self.max_distance, excluded)
        scans = list(_scans(np.searchsorted(near.numbers, windows).tolist(), len(near.numbers)))
        accepted = ranges(*np.array(scans, dtype=np.int64).reshape(-1, 2).T)
        ends = np.searchsorted(near.numbers[accepted] // database.n_numbers, np.arange(1, len(queries.keys)))
        return [near.answers(keys, self.all_entries_per_key) for keys in np.split(accepted, ends)]

    def _windows(
        self, keys: Int64[np.ndarray, " query"], database: KeyedBarcodes, allowed: AllowedKeys
    ) -> Int64[np.ndarray, "query_and_seed 4"]:
        """Which keys the seeds of each query can visit, in the order of the scans.

        Returns:
            Numbers of the first key below a seed and of the end, then of those above it.
        """
        seeds, order = self._seeds(keys), database.order
        n_below = order.n_below(seeds)
        n_up_to = n_below if self.include_equal_key else order.n_up_to(seeds)
        below, above = allowed.back(n_below, self.pre_step), allowed.ahead(n_up_to, self.succ_step)
        first_number = np.arange(len(keys))[:, None, None] * database.n_numbers
        return np.asarray(np.stack([below, n_below, n_up_to, above], axis=-1) + first_number).reshape(-1, 4)

    def _seeds(self, keys: Int64[np.ndarray, " query"]) -> Int64[np.ndarray, "query seed"]:
        """Where scans start; those below zero have no key below them."""
        steps = self.sum_step * SUM_STEP * np.arange(self.n_seeds)
        return np.asarray(keys[:, None] + np.concatenate([-steps, steps]))


def _united(windows: Int64[np.ndarray, "window 2"]) -> Int64[np.ndarray, "united 2"]:
    """Windows without overlap that hold the same, ascending.

    >>> _united(np.array([[5, 9], [0, 3], [2, 4], [7, 8]])).tolist()
    [[0, 4], [5, 9]]
    """
    starts, ends = windows[np.argsort(windows[:, 0], kind="stable")].T
    ends = np.maximum.accumulate(ends)
    is_first = np.append(True, starts[1:] > ends[:-1])
    return np.stack([starts[is_first], ends[np.append(is_first[1:], True)]], axis=1)


def _scans(windows: Iterable[Sequence[int]], n_near: int) -> Iterator[tuple[int, int]]:
    """What each scan accepts, from its first key to an end: from a seed downwards, then upwards, then the next seed.

    Args:
        windows: of the near keys only, every one of which is accepted unless a scan meets one that is visited.
        n_near: how many near keys there are.

    >>> list(_scans([(2, 4, 4, 5), (0, 3, 3, 6), (0, 2, 2, 3)], 6))
    [(3, 1), (4, 5), (1, -1)]
    """
    visited = bytearray(n_near)
    for below, n_below, n_up_to, above in windows:
        first = max(below, visited.rfind(1, below, n_below) + 1)
        if first < n_below:
            visited[first:n_below] = b"\1" * (n_below - first)
            yield n_below - 1, first - 1
        met = visited.find(1, n_up_to, above)
        last = above if met < 0 else met
        if n_up_to < last:
            visited[n_up_to:last] = b"\1" * (last - n_up_to)
            yield n_up_to, last
