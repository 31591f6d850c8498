"""Exhaustive Hamming search over barcodes (Yottixel, and what guided searches are measured against).

Source: Kalra et al., "Yottixel - an image search engine for large archives of histopathology whole slide images", 2020,
which counts the bits of every pair in Python; here faiss IndexBinaryFlat does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, Int32, UInt8

from src.data.files import written_whole
from src.index.indexes.checks import check_search, checked, selector, sorted_neighbours
from src.index.indexes.hamming import hamming
from src.index.indexes.removal import remove_from_array
from src.interfaces import CodeKind, Codes, Neighbours


class BinaryFlat:
    """Bits that differ, counted for every row; equal distances go to the smaller row. Keys of codes play no part."""

    accepts: CodeKind = "binary"
    distance_unit = "Hamming, bits"

    def __init__(self) -> None:
        self._faiss: Any = None

    def train(self, sample: Codes) -> None:
        """Nothing has to be fitted; the sample gives the length of a barcode."""
        self._faiss = faiss.IndexBinaryFlat(8 * checked(sample, self.accepts, self._n_bytes, "binary_flat").shape[1])

    def add(self, codes: Codes) -> None:
        """Append barcodes.

        Raises:
            HistoseekError: codes of the wrong kind or size.
        """
        barcodes = checked(codes, self.accepts, self._n_bytes, "binary_flat")
        if self._faiss is None:
            self._faiss = faiss.IndexBinaryFlat(8 * barcodes.shape[1])
        self._faiss.add(barcodes)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query, min(k, allowed rows) of them."""
        check_search(k, len(self), excluded, "binary_flat")
        barcodes = checked(queries, self.accepts, self._n_bytes, "binary_flat")
        parameters = faiss.SearchParameters(sel=selector(len(self), excluded))
        distances, rows = self._faiss.search(barcodes, k, params=parameters)
        return sorted_neighbours(distances.astype(np.float32), rows)

    def distances(self, queries: Codes) -> Int32[np.ndarray, "query row"]:
        """Of every row, for who needs no order."""
        barcodes = checked(queries, self.accepts, self._n_bytes, "binary_flat")
        return hamming(barcodes, self._stored)

    def codes(self) -> Codes:
        """Of every row, without keys; bits that fill the last byte are counted."""
        return Codes(self._stored.copy(), self._faiss.d)

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up."""
        remove_from_array(self._faiss, is_removed)

    def save(self, path: Path) -> None:
        """Write one faiss file."""
        with written_whole(path) as temporary:
            faiss.write_index_binary(self._faiss, str(temporary))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._faiss = faiss.read_index_binary(str(path))

    def describe(self) -> dict[str, Any]:
        """What the index is, for the manifest."""
        return {"code_size_bytes": self._n_bytes}

    def __len__(self) -> int:
        return 0 if self._faiss is None else int(self._faiss.ntotal)

    @property
    def _stored(self) -> UInt8[np.ndarray, "row byte"]:
        stored: np.ndarray = faiss.rev_swig_ptr(self._faiss.xb.data(), self._faiss.xb.size())
        return stored.reshape(len(self), -1)

    @property
    def _n_bytes(self) -> int | None:
        return None if self._faiss is None else self._faiss.d // 8
