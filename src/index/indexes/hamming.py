"""Bits in which barcodes differ, for every pair (faiss, which counts 64 bits at a time)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import faiss
import numpy as np
from jaxtyping import Int32, UInt8


def hamming(
    queries: UInt8[np.ndarray, "query byte"], barcodes: UInt8[np.ndarray, "row byte"]
) -> Int32[np.ndarray, "query row"]:
    """Distances of all pairs.

    >>> hamming(np.array([[3]], np.uint8), np.array([[3], [0], [7]], np.uint8)).tolist()
    [[0, 2, 1]]
    """
    distances = np.empty((len(queries), len(barcodes)), dtype=np.int32)
    parts = (faiss.swig_ptr(part) for part in (queries, barcodes))
    faiss.hammings(*parts, *distances.shape, queries.shape[1], faiss.swig_ptr(distances))
    return distances


def hamming_of_pieces(
    queries: UInt8[np.ndarray, "query byte"],
    barcodes: UInt8[np.ndarray, "row byte"],
    pieces: Iterable[Sequence[int]],
    n_distances: int,
) -> Int32[np.ndarray, " distance"]:
    """Distances of queries to some rows each.

    Args:
        queries: barcodes.
        barcodes: of all rows.
        pieces: query, first row, end, and where their distances go; fastest where neighbours follow each other.
        n_distances: rows of all pieces.
    """
    distances, n_bytes = np.empty(n_distances, dtype=np.int32), queries.shape[1]
    own = [faiss.swig_ptr(query) for query in queries]
    for query, start, end, place in pieces:
        rows, answers = faiss.swig_ptr(barcodes[start:]), faiss.swig_ptr(distances[place:])
        faiss.hammings(own[query], rows, 1, end - start, n_bytes, answers)
    return distances
