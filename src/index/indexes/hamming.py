"""Bits in which barcodes differ, for every pair (faiss, which counts 64 bits at a time)."""

from __future__ import annotations

import faiss
import numpy as np
from jaxtyping import Int32, UInt8

_WORD_BYTES = 8


def hamming(
    queries: UInt8[np.ndarray, "query byte"], barcodes: UInt8[np.ndarray, "row byte"]
) -> Int32[np.ndarray, "query row"]:
    """Distances of whole words, as `in_words` gives them.

    >>> hamming(in_words(np.array([[3]], np.uint8)), in_words(np.array([[3], [0], [7]], np.uint8))).tolist()
    [[0, 2, 1]]
    """
    distances = np.empty((len(queries), len(barcodes)), dtype=np.int32)
    parts = (faiss.swig_ptr(part) for part in (queries, barcodes))
    faiss.hammings(*parts, *distances.shape, queries.shape[1], faiss.swig_ptr(distances))
    return distances


def in_words(barcodes: UInt8[np.ndarray, "row byte"]) -> UInt8[np.ndarray, "row word_byte"]:
    """Barcodes filled up with zeros to whole words of 64 bits, contiguous."""
    n_missing = -barcodes.shape[1] % _WORD_BYTES
    return np.ascontiguousarray(np.pad(barcodes, ((0, 0), (0, n_missing))) if n_missing else barcodes)
