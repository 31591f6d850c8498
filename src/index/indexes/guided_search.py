"""The guided search of SISH for one patch: from twenty keys around its own, step by step through the sorted keys.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `database.py`. From each seed the keys below it are visited, then those above it,
until enough keys were seen or one is met that an earlier scan has accepted. A key is accepted when its nearest barcode
is near enough. What is found is in the order of discovery.

The official code compares one barcode at a time and the same key again from every seed. Here the barcodes of all keys
that any scan can visit are compared once, and the scans only walk over those that are near enough: the answers and
their order are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from src.errors import ConfigError
from src.index.indexes.key_order import KeyOrder
from src.models.vqvae.integer_key import SUM_STEP

Words = UInt64[np.ndarray, "row word"]


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

    def seeds(self, key: int) -> Int64[np.ndarray, " seed"]:
        """Where scans start; those below zero have no key below them."""
        steps = self.sum_step * SUM_STEP * np.arange(self.n_seeds)
        return np.concatenate([key - steps, key + steps])

    def discover(self, key: int, barcode: UInt64[np.ndarray, " word"], order: KeyOrder, words: Words) -> Found:
        """What is found for one patch, in the order of discovery.

        Args:
            key: of the patch.
            barcode: of the patch.
            order: the rows that may be found.
            words: barcode of every row.
        """
        below, above = self._windows(key, order)
        entries = _entries_of(np.concatenate([below, above]), barcode, order, words)
        near = entries.near(self.max_distance)
        accepted = [near.keys[0:0], *_scans(below, above, near.keys)]
        return near.answers(np.concatenate(accepted), self.all_entries_per_key)

    def _windows(self, key: int, order: KeyOrder) -> tuple[Int64[np.ndarray, "seed 2"], Int64[np.ndarray, "seed 2"]]:
        """First and end of the keys that each seed can visit, below and above it."""
        seeds = self.seeds(key)
        n_below = order.n_below(seeds)
        n_up_to = n_below if self.include_equal_key else order.n_up_to(seeds)
        below = np.stack([np.maximum(n_below - self.pre_step, 0), n_below], axis=1)
        above = np.stack([n_up_to, np.minimum(n_up_to + self.succ_step, len(order))], axis=1)
        return below, above


class Found(NamedTuple):
    """Rows and their Hamming distances."""

    rows: Int64[np.ndarray, " found"]
    distances: Int64[np.ndarray, " found"]


class _Entries(NamedTuple):
    """Rows of some keys, by key.

    Attributes:
        keys: places of the keys, ascending, each once.
        starts: where the rows of each key start; one more at the end.
    """

    keys: Int64[np.ndarray, " key"]
    starts: Int64[np.ndarray, " key_and_end"]
    rows: Int64[np.ndarray, " entry"]
    distances: Int64[np.ndarray, " entry"]

    def near(self, max_distance: int) -> _Entries:
        """Only the rows that are near enough, and the keys that have one."""
        is_near = self.distances <= max_distance
        n_near = np.add.reduceat(is_near, self.starts[:-1], dtype=np.int64) if len(self.keys) else self.starts[:-1]
        starts = np.concatenate([[0], np.cumsum(n_near[n_near > 0])])
        return _Entries(self.keys[n_near > 0], starts, self.rows[is_near], self.distances[is_near])

    def answers(self, keys: Int64[np.ndarray, " accepted"], all_of_them: bool) -> Found:
        """Rows of these keys in their order: the nearest of each, of equal ones the first, or all."""
        places = np.searchsorted(self.keys, keys)
        if all_of_them:
            kept = _ranges(np.stack([self.starts[places], self.starts[places + 1]], axis=1))
        else:
            # Stable: rows of one key and distance stay in the order they were added.
            by_distance = np.lexsort((self.distances, np.repeat(np.arange(len(self.keys)), np.diff(self.starts))))
            kept = by_distance[self.starts[places]]
        return Found(self.rows[kept], self.distances[kept])


def as_words(barcodes: UInt8[np.ndarray, "row byte"]) -> Words:
    """Barcodes in words of 64 bits, which are compared faster than bytes."""
    n_missing = -barcodes.shape[1] % 8
    filled = np.pad(barcodes, ((0, 0), (0, n_missing))) if n_missing else barcodes
    return np.ascontiguousarray(filled).view(np.uint64)


def _entries_of(
    windows: Int64[np.ndarray, "window 2"], barcode: UInt64[np.ndarray, " word"], order: KeyOrder, words: Words
) -> _Entries:
    """Every row of the keys in any window, compared with the barcode."""
    keys = _ranges(_united(windows))
    entries = _ranges(np.stack([order.starts[keys], order.starts[keys + 1]], axis=1))
    rows = order.rows[entries]
    distances = np.bitwise_count(words[rows] ^ barcode).sum(axis=1, dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(order.starts[keys + 1] - order.starts[keys])])
    return _Entries(keys, starts, rows, distances)


def _scans(
    below: Int64[np.ndarray, "seed 2"], above: Int64[np.ndarray, "seed 2"], near: Int64[np.ndarray, " key"]
) -> Iterator[Int64[np.ndarray, " accepted"]]:
    """What each scan accepts, in its order: from a seed downwards, then upwards, then the next seed.

    Args:
        below: first and end of the keys that each seed can visit downwards.
        above: and upwards.
        near: places of the keys that have a near enough row.
    """
    is_visited = np.zeros(len(near), dtype=bool)
    for down, up in zip(np.searchsorted(near, below).tolist(), np.searchsorted(near, above).tolist(), strict=True):
        for path in (np.arange(*down)[::-1], np.arange(*up)):
            met = np.flatnonzero(is_visited[path])
            accepted = path[: met[0]] if len(met) else path
            is_visited[accepted] = True
            yield near[accepted]


def _united(windows: Int64[np.ndarray, "window 2"]) -> Int64[np.ndarray, "united 2"]:
    """Windows without overlap that cover the same, ascending.

    >>> _united(np.array([[5, 9], [0, 3], [2, 4], [7, 8]])).tolist()
    [[0, 4], [5, 9]]
    """
    ordered = windows[np.argsort(windows[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ordered[:, 1])
    is_first = np.concatenate([[True], ordered[1:, 0] > ends[:-1]])
    is_last = np.concatenate([is_first[1:], [True]])
    return np.stack([ordered[is_first, 0], ends[is_last]], axis=1)


def _ranges(windows: Int64[np.ndarray, "window 2"]) -> Int64[np.ndarray, " place"]:
    """The whole numbers of each window, one window after the other.

    >>> _ranges(np.array([[5, 8], [0, 0], [1, 2]])).tolist()
    [5, 6, 7, 1]
    """
    lengths = windows[:, 1] - windows[:, 0]
    offsets = np.repeat(windows[:, 0] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return offsets + np.arange(lengths.sum())
