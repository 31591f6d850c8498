"""The index of SISH: barcodes are looked for near an integer key, so that time does not grow with the database.

Source: see `guided_search` and `key_order`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from src.data.files import written_whole
from src.index.indexes.checks import check_search, checked
from src.index.indexes.guided_search import GuidedSearch, Queries
from src.index.indexes.key_order import KeyOrder
from src.index.indexes.near_keys import Found, KeyedBarcodes
from src.interfaces import CodeKind, Codes, Neighbours, joined


class Guided:
    """Near barcodes at near keys, by Hamming distance; equal distances in the order of discovery.

    What lies at a far key is not found, however near its barcode. Memory: 32 bytes and the barcode of each row, and as
    much again for a moment when rows were added.

    Args:
        n_seeds: see `GuidedSearch`, like all of them.
        sum_step: C in the paper.
        pre_step: keys seen below a seed.
        succ_step: keys seen above a seed.
        max_distance: bits.
        include_equal_key: look at the query's own key.
        all_entries_per_key: answer more than one row of a key.
    """

    accepts: CodeKind = "keyed"
    distance_unit = "Hamming, bits"

    def __init__(
        self,
        n_seeds: int,
        sum_step: int,
        pre_step: int,
        succ_step: int,
        max_distance: int,
        include_equal_key: bool,
        all_entries_per_key: bool,
    ) -> None:
        self.settings = GuidedSearch(
            n_seeds, sum_step, pre_step, succ_step, max_distance, include_equal_key, all_entries_per_key
        )
        self._new: list[Codes] = []
        self._stored: _Stored | None = None

    def train(self, sample: Codes) -> None:
        """Nothing has to be fitted; the sample gives the length of a barcode."""
        checked(sample, self.accepts, self._n_bytes, "guided")
        self._new = [sample.take(slice(0))]

    def add(self, codes: Codes) -> None:
        """Append barcodes and their keys.

        Raises:
            HistoseekError: codes of the wrong kind or size.
        """
        checked(codes, self.accepts, self._n_bytes, "guided")
        self._new.append(codes)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows found for each query, most often fewer.

        The longest answer is followed by a missing neighbour where it has fewer than `k`; there are no more columns.
        """
        check_search(k, len(self), excluded, "guided")
        # Short integers are sorted by counting.
        short = np.min_scalar_type(self.settings.max_distance)
        return _as_neighbours([_nearest(found, k, short) for found in self.discovered(queries, excluded)], k)

    def discovered(self, queries: Codes, excluded: Bool[np.ndarray, " row"] | None = None) -> list[Found]:
        """What each query finds, in the order of discovery."""
        barcodes = checked(queries, self.accepts, self._n_bytes, "guided")
        return self.settings.discovered(Queries(_keys(queries), barcodes), self._sorted().database, excluded)

    def codes(self) -> Codes:
        """Of every row, keys among them."""
        return self._sorted().by_row()

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up."""
        self._new, self._stored = [self.codes().take(np.flatnonzero(~is_removed))], None

    def save(self, path: Path) -> None:
        """Write keys and barcodes, in the order of rows, to one .npz file."""
        stored = self.codes()
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, keys=_keys(stored), barcodes=stored.values, n_bits=np.array(stored.n_bits))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        with np.load(path, allow_pickle=False) as parts:
            self._new, self._stored = [Codes(parts["barcodes"], int(parts["n_bits"]), parts["keys"])], None

    def describe(self) -> dict[str, Any]:
        """How far the search goes and how many distinct keys there are, for the manifest."""
        return {**asdict(self.settings), "n_keys": len(self._sorted().database.order)}

    def __len__(self) -> int:
        return sum(map(len, self._new)) + (0 if self._stored is None else len(self._stored.database.barcodes))

    @property
    def _n_bytes(self) -> int | None:
        if self._stored is not None:
            return int(self._stored.database.barcodes.shape[1])
        return self._new[0].values.shape[1] if self._new else None

    def _sorted(self) -> _Stored:
        """All rows by key; made when it is first needed."""
        if self._new:
            old = [] if self._stored is None else [self._stored.by_row()]
            self._stored, self._new = _Stored.of(joined([*old, *self._new])), []
        assert self._stored is not None
        return self._stored


@dataclass(frozen=True)
class _Stored:
    """All codes by key, and how long a barcode is."""

    database: KeyedBarcodes
    n_bits: int

    @staticmethod
    def of(codes: Codes) -> _Stored:
        order = KeyOrder.of(_keys(codes))
        return _Stored(KeyedBarcodes(order, codes.values[order.rows]), codes.n_bits)

    def by_row(self) -> Codes:
        """The codes in the order they were added."""
        order = self.database.order
        barcodes = np.empty_like(self.database.barcodes)
        barcodes[order.rows] = self.database.barcodes
        return Codes(barcodes, self.n_bits, order.keys[order.key_of_row])


def _keys(codes: Codes) -> Int64[np.ndarray, " row"]:
    assert codes.keys is not None
    return codes.keys


def _nearest(found: Found, k: int, dtype: np.dtype[Any]) -> Found:
    order = np.argsort(found.distances.astype(dtype), kind="stable")[:k]
    return Found(found.rows[order], found.distances[order])


def _as_neighbours(answers: Sequence[Found], k: int) -> Neighbours:
    width = min(k, 1 + max(len(found.rows) for found in answers))
    distances = np.full((len(answers), width), np.inf, dtype=np.float32)
    rows = np.full((len(answers), width), -1, dtype=np.int64)
    for query, found in enumerate(answers):
        distances[query, : len(found.rows)] = found.distances
        rows[query, : len(found.rows)] = found.rows
    return Neighbours(distances, rows)
