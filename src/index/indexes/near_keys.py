"""Which keys that the scans of some queries can visit have a row whose barcode is near, and those rows.

Keys of several queries are told apart by numbers: the place of a key plus the query times one more than there are keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from src.index.indexes.hamming import hamming_of_pieces
from src.index.indexes.key_order import KeyOrder


class Found(NamedTuple):
    """Rows and their Hamming distances."""

    rows: Int64[np.ndarray, " found"]
    distances: Int64[np.ndarray, " found"]


@dataclass(frozen=True)
class KeyedBarcodes:
    """Barcodes in the order of keys, so that those of one scan are one piece of memory.

    Attributes:
        order: of the rows.
        barcodes: of the rows in that order.
    """

    order: KeyOrder
    barcodes: UInt8[np.ndarray, "row byte"]

    @property
    def n_numbers(self) -> int:
        """Numbers of one query's keys."""
        return len(self.order) + 1


@dataclass(frozen=True)
class NearKeys:
    """Rows that are near, by query and key.

    Attributes:
        numbers: of the keys that have one, ascending, each once.
        starts: where the rows of each key start; one more at the end.
        found: the rows, those of one key in the order they were added.
    """

    numbers: Int64[np.ndarray, " key"]
    starts: Int64[np.ndarray, " key_and_end"]
    found: Found

    @staticmethod
    def of(
        queries: UInt8[np.ndarray, "query byte"],
        pieces: Int64[np.ndarray, "piece 2"],
        database: KeyedBarcodes,
        max_distance: int,
        excluded: Bool[np.ndarray, " row"] | None,
    ) -> NearKeys:
        """Compare each query with the rows of its pieces.

        Args:
            queries: barcodes.
            pieces: first and end of the numbers of some keys of one query, ascending and without overlap.
            database: where they are looked up.
            max_distance: bits.
            excluded: rows that are left out.
        """
        of_query, first = np.divmod(pieces[:, 0], database.n_numbers)
        starts, ends = database.order.starts[np.stack([first, first + pieces[:, 1] - pieces[:, 0]])]
        before = np.cumsum(ends - starts) - (ends - starts)  # rows of earlier pieces
        compared = np.stack([of_query, starts, ends, before], axis=1)[np.argsort(starts)].tolist()
        distances = hamming_of_pieces(queries, database.barcodes, compared, int((ends - starts).sum()))
        near = np.flatnonzero(distances <= max_distance)
        piece = np.searchsorted(before, near, side="right") - 1
        rows, distances = database.order.rows[near + (starts - before)[piece]], distances[near]
        if excluded is not None:
            is_kept = ~excluded[rows]
            rows, distances, piece = rows[is_kept], distances[is_kept], piece[is_kept]
        numbers = database.order.key_of_row[rows] + of_query[piece] * database.n_numbers
        firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
        return NearKeys(numbers[firsts], np.append(firsts, len(rows)), Found(rows, distances.astype(np.int64)))

    def answers(self, keys: Int64[np.ndarray, " accepted"], all_of_them: bool) -> Found:
        """Rows of these of the near keys, in this order: the nearest of each, of equal ones the first, or all."""
        rows = ranges(self.starts[keys], self.starts[keys + 1]) if all_of_them else self._nearest[keys]
        return Found(self.found.rows[rows], self.found.distances[rows])

    @cached_property
    def _nearest(self) -> Int64[np.ndarray, " key"]:
        nearest = self.starts[:-1].copy()
        several = np.flatnonzero(np.diff(self.starts) > 1)
        if len(several):
            starts, ends = self.starts[several], self.starts[several + 1]
            rows = ranges(starts, ends)
            # The row stands behind the distance, so that the smallest is the first of the nearest.
            by_distance = self.found.distances[rows] * len(self.found.rows) + rows
            firsts = np.cumsum(ends - starts) - (ends - starts)
            nearest[several] = np.minimum.reduceat(by_distance, firsts) % len(self.found.rows)
        return np.asarray(nearest)


def ranges(starts: Int64[np.ndarray, " range"], ends: Int64[np.ndarray, " range"]) -> Int64[np.ndarray, " place"]:
    """The whole numbers from each start to its end, which is not among them, one range after the other.

    >>> ranges(np.array([5, 0, 3]), np.array([8, 0, 1])).tolist()
    [5, 6, 7, 3, 2]
    """
    lengths = np.abs(ends - starts)
    offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.asarray(np.repeat(starts, lengths) + np.repeat(np.sign(ends - starts), lengths) * offsets)
