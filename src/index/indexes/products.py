"""Inner products of queries and many vectors, as fast as this machine reads the vectors.

The last bits of a product depend on the kernel and on where a vector stands, so that equal vectors can differ; who
needs a distance measures the pair by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import faiss
import numpy as np
from jaxtyping import Float32

_MATRIX_PAYS_FROM = 4  # queries
_IN_CACHE_BYTES = 1 << 24
_TRIAL_BYTES = 1 << 26
_TRIALS = 5

_Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def products(
    queries: Float32[np.ndarray, "query dim"], vectors: Float32[np.ndarray, "row dim"]
) -> Float32[np.ndarray, "query row"]:
    """The product of each query and each vector, rounded as the kernel does."""
    if len(queries) >= _MATRIX_PAYS_FROM:
        by_matrix: np.ndarray = queries @ vectors.T
        return by_matrix
    kernel = _blas if vectors.nbytes <= _IN_CACHE_BYTES else _fastest(vectors.shape[1])
    out = np.empty((len(queries), len(vectors)), np.float32)
    for query, products_of_query in zip(queries, out, strict=True):
        kernel(vectors, query, products_of_query)
    return out


@cache
def _fastest(dim: int) -> _Kernel:
    """The kernel that is fastest on vectors outside of the cache; which one differs by 1.6 times between processors."""
    vectors = np.ones((_TRIAL_BYTES // (4 * dim) + 1, dim), np.float32)
    query, out = vectors[0].copy(), np.empty(len(vectors), np.float32)
    rounds = [[_seconds(kernel, vectors, query, out) for kernel in _KERNELS] for _ in range(_TRIALS)]
    return _KERNELS[int(np.min(rounds, axis=0).argmin())]


def _seconds(kernel: _Kernel, vectors: np.ndarray, query: np.ndarray, out: np.ndarray) -> float:
    started = time.thread_time()
    kernel(vectors, query, out)
    return time.thread_time() - started


def _blas(vectors: np.ndarray, query: np.ndarray, out: np.ndarray) -> None:
    np.dot(vectors, query, out=out)


def _row_by_row(vectors: np.ndarray, query: np.ndarray, out: np.ndarray) -> None:
    np.vecdot(vectors, query, out=out)


def _faiss(vectors: np.ndarray, query: np.ndarray, out: np.ndarray) -> None:
    pointers = (faiss.swig_ptr(part) for part in (out, query, vectors))
    faiss.fvec_inner_products_ny(*pointers, vectors.shape[1], len(vectors))


_KERNELS: tuple[_Kernel, ...] = (_blas, _row_by_row, _faiss)
