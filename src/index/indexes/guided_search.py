"""The guided search of SISH for one patch: from twenty keys around its own, step by step through the sorted keys.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `database.py`. From each seed the keys below it are visited, then those above it,
until enough keys were seen or one is met that an earlier scan has accepted. A key is accepted when its nearest barcode
is near enough. What is found is in the order of discovery.

The official code compares one barcode at a time and the same key again from every seed. Here the barcodes of all keys
that any scan can visit are compared once, and the scans only walk over those that are near enough: the answers and
their order are the same. Barcodes lie in the order of keys, so that those of one scan are one piece of memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from src.errors import ConfigError
from src.index.indexes.key_order import AllowedKeys, KeyOrder
from src.index.indexes.near_keys import Found, NearKeys
from src.models.vqvae.integer_key import SUM_STEP


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

    def windows(
        self, keys: Int64[np.ndarray, " query"], order: KeyOrder, allowed: AllowedKeys
    ) -> Int64[np.ndarray, "query seed 4"]:
        """Which keys the seeds of each query can visit, in the order of the scans.

        Returns:
            First and end of the places below a seed, then of those above it.
        """
        seeds = self._seeds(keys)
        n_below = order.n_below(seeds)
        n_up_to = n_below if self.include_equal_key else order.n_up_to(seeds)
        below, above = allowed.back(n_below, self.pre_step), allowed.ahead(n_up_to, self.succ_step)
        return np.stack([below, n_below, n_up_to, above], axis=-1)

    def discover(self, windows: Int64[np.ndarray, "seed 4"], near: NearKeys) -> Found:
        """What the scans of one query find, in the order of discovery.

        Args:
            windows: as `windows` gives them.
            near: the keys of any window that have a near enough row.
        """
        places = np.searchsorted(near.keys, windows).tolist()
        accepted = [np.arange(*each) for each in _scans(places)]
        return near.answers(np.concatenate([*accepted, near.keys[0:0]]), self.all_entries_per_key)

    def _seeds(self, keys: Int64[np.ndarray, " query"]) -> Int64[np.ndarray, "query seed"]:
        """Where scans start; those below zero have no key below them."""
        steps = self.sum_step * SUM_STEP * np.arange(self.n_seeds)
        return np.asarray(keys[:, None] + np.concatenate([-steps, steps]))


def united(windows: Int64[np.ndarray, "seed 4"]) -> list[tuple[int, int]]:
    """Pieces of the sorted keys, ascending and without overlap, that hold every window.

    >>> united(np.array([[4, 6, 7, 9], [1, 2, 2, 3], [2, 3, 3, 4]]))
    [(1, 9)]
    >>> united(np.array([[5, 6, 7, 9], [1, 2, 2, 3]]))
    [(1, 3), (5, 9)]
    """
    pieces: list[tuple[int, int]] = []
    for first, end in sorted(map(tuple, windows[:, [0, 3]].tolist())):
        if pieces and first <= pieces[-1][1]:
            pieces[-1] = pieces[-1][0], max(end, pieces[-1][1])
        else:
            pieces.append((first, end))
    return pieces


def _scans(windows: Iterable[Sequence[int]]) -> Iterator[tuple[int, int, int]]:
    """What each scan accepts, first, end and step: from a seed downwards, then upwards, then from the next seed.

    Args:
        windows: of the near keys only, every one of which is accepted unless a scan has met one before.

    >>> list(_scans([(2, 4, 4, 5), (0, 3, 3, 6), (0, 2, 2, 3)]))
    [(3, 1, -1), (4, 5, 1), (1, -1, -1)]
    """
    visited: list[tuple[int, int]] = []
    for below, n_below, n_up_to, above in windows:
        first = max([below, *(min(end, n_below) for start, end in visited if start < n_below)])
        if first < n_below:
            visited.append((first, n_below))
            yield n_below - 1, first - 1, -1
        last = min([above, *(max(start, n_up_to) for start, end in visited if end > n_up_to)])
        if n_up_to < last:
            visited.append((n_up_to, last))
            yield n_up_to, last, 1
