"""Which keys of some pieces of the sorted keys have a row whose barcode is near, and those rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from src.index.indexes.hamming import hamming
from src.index.indexes.key_order import KeyOrder


class Found(NamedTuple):
    """Rows and their Hamming distances."""

    rows: Int64[np.ndarray, " found"]
    distances: Int64[np.ndarray, " found"]


@dataclass(frozen=True)
class NearKeys:
    """Rows that are near, by key.

    Attributes:
        keys: places of the keys that have one, ascending, each once.
        starts: where the rows of each key start; one more at the end.
        found: the rows, those of one key in the order they were added.
    """

    keys: Int64[np.ndarray, " key"]
    starts: Int64[np.ndarray, " key_and_end"]
    found: Found

    @staticmethod
    def of(found: Found, order: KeyOrder) -> NearKeys:
        """Rows in the order of keys, with their keys."""
        keys = order.key_of_row[found.rows]
        firsts = np.flatnonzero(np.diff(keys, prepend=-1))
        return NearKeys(keys[firsts], np.append(firsts, len(keys)), found)

    def answers(self, keys: Int64[np.ndarray, " accepted"], all_of_them: bool) -> Found:
        """Rows of these of the near keys, in this order: the nearest of each, of equal ones the first, or all."""
        rows = _ranges(self.starts[keys], self.starts[keys + 1]) if all_of_them else self._nearest[keys]
        return Found(self.found.rows[rows], self.found.distances[rows])

    @property
    def _nearest(self) -> Int64[np.ndarray, " key"]:
        if len(self.keys) == len(self.found.rows):
            return np.arange(len(self.keys))
        key_of_row = np.repeat(np.arange(len(self.keys)), np.diff(self.starts))
        # Stable: rows of one key and distance stay in the order they were added.
        return np.asarray(np.lexsort((self.found.distances, key_of_row))[self.starts[:-1]])


def near_rows(
    barcode: UInt8[np.ndarray, " byte"],
    pieces: Sequence[tuple[int, int]],
    order: KeyOrder,
    barcodes: UInt8[np.ndarray, "row byte"],
    max_distance: int,
    excluded: Bool[np.ndarray, " row"] | None,
) -> Found:
    """The rows of some pieces of the sorted keys that are near enough to a barcode and not excluded.

    Args:
        barcode: of the query, in whole words.
        pieces: first and end of places in `order.keys`.
        order: of the rows.
        barcodes: in the order of keys, in whole words.
        max_distance: bits.
        excluded: rows that are left out.
    """
    starts, ends = order.starts[np.array(pieces)].T
    parts = [hamming(barcode[None], barcodes[start:end])[0] for start, end in zip(starts, ends, strict=True)]
    distances = np.concatenate(parts)
    near = np.flatnonzero(distances <= max_distance)
    before = np.cumsum(ends - starts) - (ends - starts)  # rows of earlier pieces
    piece = np.searchsorted(before, near, side="right") - 1
    places, distances = near + (starts - before)[piece], distances[near].astype(np.int64)
    rows = order.rows[places]
    if excluded is not None:
        is_kept = ~excluded[rows]
        rows, distances = rows[is_kept], distances[is_kept]
    return Found(rows, distances)


def _ranges(starts: Int64[np.ndarray, " range"], ends: Int64[np.ndarray, " range"]) -> Int64[np.ndarray, " place"]:
    """The whole numbers of each range, one range after the other.

    >>> _ranges(np.array([5, 0, 1]), np.array([8, 0, 2])).tolist()
    [5, 6, 7, 1]
    """
    lengths = ends - starts
    offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.asarray(offsets + np.arange(lengths.sum()))
