"""The index of SISH: barcodes are looked for near an integer key, so that time does not grow with the database.

Source: see `guided_search` and `key_order`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from src.data.files import written_whole
from src.index.indexes.checks import check_search, checked
from src.index.indexes.guided_search import Found, GuidedSearch, as_words
from src.index.indexes.key_order import key_order, sorted_by_key
from src.interfaces import CodeKind, Codes, Neighbours, joined


class Guided:
    """Near barcodes at near keys, by Hamming distance; equal distances in the order of discovery.

    What lies at a far key is not found, however near its barcode. Memory: 16 bytes and the barcode of each row, and as
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
        self._parts: list[Codes] = []
        self._by_key: Int64[np.ndarray, " row"] | None = None

    def train(self, sample: Codes) -> None:
        """Nothing has to be fitted; the sample is only checked."""
        checked(sample, self.accepts, self._n_bytes, "guided")

    def add(self, codes: Codes) -> None:
        """Append barcodes and their keys.

        Raises:
            HistoseekError: codes of the wrong kind or size.
        """
        checked(codes, self.accepts, self._n_bytes, "guided")
        self._parts.append(codes)
        self._by_key = None

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows found for each query, most often fewer.

        The longest answer is followed by a missing neighbour where it has fewer than `k`; there are no more columns.
        """
        check_search(k, len(self), excluded, "guided")
        return _as_neighbours([_nearest(found, k) for found in self.discovered(queries, excluded)], k)

    def discovered(self, queries: Codes, excluded: Bool[np.ndarray, " row"] | None = None) -> list[Found]:
        """What each query finds, in the order of discovery."""
        wanted = as_words(checked(queries, self.accepts, self._n_bytes, "guided"))
        stored, by_key = self._stored()
        order, words = key_order(_keys(stored), by_key, excluded), as_words(stored.values)
        pairs = zip(_keys(queries).tolist(), wanted, strict=True)
        return [self.settings.discover(key, barcode, order, words) for key, barcode in pairs]

    def save(self, path: Path) -> None:
        """Write keys and barcodes to one .npz file."""
        stored, _ = self._stored()
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, keys=_keys(stored), barcodes=stored.values, n_bits=np.array(stored.n_bits))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        with np.load(path, allow_pickle=False) as parts:
            self._parts = [Codes(parts["barcodes"], int(parts["n_bits"]), parts["keys"])]
        self._by_key = None

    def describe(self) -> dict[str, Any]:
        """How far the search goes and how many distinct keys there are, for the manifest."""
        stored, _ = self._stored()
        return {**asdict(self.settings), "n_keys": len(np.unique(_keys(stored)))}

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @property
    def _n_bytes(self) -> int | None:
        return self._parts[0].values.shape[1] if self._parts else None

    def _stored(self) -> tuple[Codes, Int64[np.ndarray, " row"]]:
        """All rows as one, and their order by key; made when it is first needed."""
        if self._by_key is None:
            self._parts = [joined(self._parts)]
            self._by_key = sorted_by_key(_keys(self._parts[0]))
        return self._parts[0], self._by_key


def _keys(codes: Codes) -> Int64[np.ndarray, " row"]:
    assert codes.keys is not None
    return codes.keys


def _nearest(found: Found, k: int) -> Found:
    order = np.argsort(found.distances, kind="stable")[:k]
    return Found(found.rows[order], found.distances[order])


def _as_neighbours(answers: Sequence[Found], k: int) -> Neighbours:
    width = min(k, 1 + max(len(found.rows) for found in answers))
    distances = np.full((len(answers), width), np.inf, dtype=np.float32)
    rows = np.full((len(answers), width), -1, dtype=np.int64)
    for query, found in enumerate(answers):
        distances[query, : len(found.rows)] = found.distances
        rows[query, : len(found.rows)] = found.rows
    return Neighbours(distances, rows)
