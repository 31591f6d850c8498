"""Bits in which barcodes differ, for every pair (faiss, which counts 64 bits at a time)."""

from __future__ import annotations

from collections.abc import Iterable

import faiss
import numpy as np
from jaxtyping import Int32, UInt8

_WORD_BYTES = 8


def hamming(
    queries: UInt8[np.ndarray, "query word_byte"], barcodes: UInt8[np.ndarray, "row word_byte"]
) -> Int32[np.ndarray, "query row"]:
    """Distances of barcodes of whole words, as `in_words` gives them.

    >>> hamming(in_words(np.array([[3]], np.uint8)), in_words(np.array([[3], [0], [7]], np.uint8))).tolist()
    [[0, 2, 1]]
    """
    distances = np.empty((len(queries), len(barcodes)), dtype=np.int32)
    parts = (faiss.swig_ptr(part) for part in (queries, barcodes))
    faiss.hammings(*parts, *distances.shape, queries.shape[1], faiss.swig_ptr(distances))
    return distances


def hamming_of_pieces(
    queries: UInt8[np.ndarray, "query word_byte"],
    barcodes: UInt8[np.ndarray, "row word_byte"],
    pieces: Iterable[tuple[int, int, int]],
    n_distances: int,
) -> Int32[np.ndarray, " distance"]:
    """Distances of queries to some rows each, one piece after the other.

    Args:
        queries: barcodes.
        barcodes: of all rows.
        pieces: query, first row and end.
        n_distances: rows of all pieces.
    """
    distances, n_done, n_bytes = np.empty(n_distances, dtype=np.int32), 0, queries.shape[1]
    own = [faiss.swig_ptr(query) for query in queries]
    for query, start, end in pieces:
        place = faiss.swig_ptr(distances[n_done:])
        faiss.hammings(own[query], faiss.swig_ptr(barcodes[start:]), 1, end - start, n_bytes, place)
        n_done += end - start
    return distances


def in_words(barcodes: UInt8[np.ndarray, "row byte"]) -> UInt8[np.ndarray, "row word_byte"]:
    """Barcodes filled up with zeros to whole words of 64 bits, contiguous."""
    n_missing = -barcodes.shape[1] % _WORD_BYTES
    return np.ascontiguousarray(np.pad(barcodes, ((0, 0), (0, n_missing))) if n_missing else barcodes)
