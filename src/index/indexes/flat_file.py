"""The file of a faiss IndexFlat, written and read without a second copy of its vectors in memory.

Source: facebookresearch/faiss, impl/index_write.cpp, version 1.15.1: a header, then the vectors in float32.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from src.data.files import written_whole
from src.errors import IndexMismatch

_KINDS = {"cosine": (b"IxFI", 0), "l2": (b"IxF2", 1)}  # name and number of the metric
_HEADER = struct.Struct("<4sIqqqBiQ")  # name, dimension, rows, two that are unused, is trained, metric, values
_UNUSED = 1 << 20


def write_flat(path: Path, vectors: Float32[np.ndarray, "row dim"], metric: str) -> None:
    """Write what faiss reads as IndexFlatIP (`cosine`) or IndexFlatL2 (`l2`)."""
    name, number = _KINDS[metric]
    n_rows, dim = vectors.shape
    with written_whole(path) as temporary, temporary.open("wb") as file:
        file.write(_HEADER.pack(name, dim, n_rows, _UNUSED, _UNUSED, 1, number, vectors.size))
        file.write(np.ascontiguousarray(vectors).data)


def read_flat(path: Path) -> Float32[np.ndarray, "row dim"]:
    """The vectors, whatever the metric that they were kept for, which the manifest tells.

    Raises:
        IndexMismatch: a file of something else, or cut short.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size or header[:4] not in [name for name, _ in _KINDS.values()]:
            raise IndexMismatch(f"{path}: holds no flat index; rebuild it with build_index.py")
        _, dim, n_rows, *_ = _HEADER.unpack(header)
        vectors = np.fromfile(file, np.float32)
    if vectors.size != n_rows * dim:
        raise IndexMismatch(f"{path}: {vectors.size} values, expected {n_rows} x {dim}; rebuild it with build_index.py")
    return vectors.reshape(n_rows, dim)
