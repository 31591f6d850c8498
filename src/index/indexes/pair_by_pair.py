"""Distances of chosen pairs, each measured by itself, so that equal rows are equally far wherever they stand."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32, Int64


def as_matrix(
    query: Int64[np.ndarray, " pair"], row: Int64[np.ndarray, " pair"], n_queries: int
) -> Int64[np.ndarray, "query place"]:
    """The rows of each query, in the order of its pairs, then -1; at least one place.

    Args:
        query: of each pair, ascending.
        row: of each pair.
        n_queries: some of which may have no pair.
    """
    n_rows = np.bincount(query, minlength=n_queries)
    rows = np.full((n_queries, max(1, n_rows.max())), -1, dtype=np.int64)
    rows[query, np.arange(len(row)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)] = row
    return rows


def cosine_distances(
    queries: Float32[np.ndarray, "query dim"],
    vectors: Float32[np.ndarray, "row dim"],
    rows: Int64[np.ndarray, "query place"],
) -> Float32[np.ndarray, "query place"]:
    """1 - inner product of each query and its rows; inf for a row of -1."""
    # The kernel leaves -inf for a missing row.
    return 1 - _measured(faiss.fvec_inner_products_by_idx, queries, vectors, rows)


def squared_distances(
    queries: Float32[np.ndarray, "query dim"],
    vectors: Float32[np.ndarray, "row dim"],
    rows: Int64[np.ndarray, "query place"],
) -> Float32[np.ndarray, "query place"]:
    """Squared Euclidean distance of each query and its rows; inf for a row of -1."""
    return _measured(faiss.fvec_L2sqr_by_idx, queries, vectors, rows)  # which leaves inf for a missing row


def _measured(
    kernel: Any,
    queries: Float32[np.ndarray, "query dim"],
    vectors: Float32[np.ndarray, "row dim"],
    rows: Int64[np.ndarray, "query place"],
) -> Float32[np.ndarray, "query place"]:
    measured = np.empty(rows.shape, np.float32)
    pointers = (faiss.swig_ptr(part) for part in (measured, queries, vectors, rows))
    kernel(*pointers, queries.shape[1], *rows.shape)
    return measured
