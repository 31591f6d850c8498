"""What every index checks of the codes that come in, and how it states the neighbours that go out."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from src.errors import ConfigError, IncompatibleParts, IndexMismatch
from src.interfaces import CodeKind, Codes, Neighbours

_UNIT_NORM_TOLERANCE = 1e-3


def fits(kind: CodeKind, accepts: CodeKind) -> bool:
    """Whether an index can take codes of a kind; one of barcodes takes keyed ones too, without their keys."""
    return kind == accepts or (kind, accepts) == ("keyed", "binary")


def checked(codes: Codes, accepts: CodeKind, dim: int | None, index: str) -> Shaped[np.ndarray, "row column"]:
    """The values of `codes`, contiguous, after checking that `index` can take them.

    Args:
        codes: what is about to be trained on, added or searched for.
        accepts: the kind of codes that the index takes.
        dim: columns that the index has, or None when it has none yet.
        index: name of the index, for the message.

    Raises:
        IncompatibleParts: codes of the other kind.
        IndexMismatch: another number of columns than the index has.
        ConfigError: no codes, or values that are not finite.
    """
    if not fits(codes.kind, accepts):
        raise IncompatibleParts(
            f"index {index} takes {accepts} codes, got {codes.kind} ones; choose another code= or index="
        )
    if len(codes) == 0:
        raise ConfigError(f"index {index}: got no codes, expected at least one; check that the slides have patches")
    if dim is not None and codes.values.shape[1] != dim:
        raise IndexMismatch(
            f"index {index}: codes have {codes.values.shape[1]} columns, the index has {dim}; "
            "use the encoder it was built with, or rebuild it with build_index.py"
        )
    if not np.isfinite(codes.values).all():
        n_bad = int(np.sum(~np.isfinite(codes.values).all(axis=1)))
        raise ConfigError(
            f"index {index}: {n_bad} of {len(codes)} codes hold NaN or infinity; extract their features again"
        )
    return np.ascontiguousarray(codes.values)


def check_unit_norm(vectors: Float32[np.ndarray, "row column"], index: str) -> None:
    """Check that vectors are of length 1.

    Raises:
        IncompatibleParts: some are not.
    """
    norms = np.sqrt(np.vecdot(vectors, vectors))
    wrong = np.abs(norms - 1) > _UNIT_NORM_TOLERANCE
    if wrong.any():
        raise IncompatibleParts(
            f"index {index}: cosine takes vectors of length 1, {int(wrong.sum())} of {len(norms)} have another "
            f"(the first: {norms[wrong][0]:.3g}); choose code=l2 or index.metric=l2"
        )


def check_search(k: int, n_rows: int, excluded: Bool[np.ndarray, " row"] | None, index: str) -> None:
    """Check the other arguments of a search.

    Raises:
        ConfigError: an empty index, `k` below 1, or a mask of another length than the index.
    """
    if n_rows == 0:
        raise ConfigError(f"index {index} is empty; build it with build_index.py or load one before searching")
    if k < 1:
        raise ConfigError(f"index {index}: k is {k}, expected at least 1")
    if excluded is not None and len(excluded) != n_rows:
        raise ConfigError(f"index {index}: the exclusion mask has {len(excluded)} rows, the index has {n_rows}")


def sorted_neighbours(distances: Float32[np.ndarray, "query k"], rows: Int64[np.ndarray, "query k"]) -> Neighbours:
    """Neighbours as faiss states them, with inf for the missing, nearest first, ties by row."""
    distances = np.where(rows < 0, np.float32(np.inf), distances)
    order = np.lexsort((rows, distances), axis=1)
    return Neighbours(np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1))


def padded(
    distances: Float32[np.ndarray, "query n"], rows: Int64[np.ndarray, "query n"], n_wanted: int
) -> tuple[Float32[np.ndarray, "query wanted"], Int64[np.ndarray, "query wanted"]]:
    """Answers of which there are too few, with missing ones behind them.

    >>> padded(np.array([[0.5]], np.float32), np.array([[7]]), 2)[1].tolist()
    [[7, -1]]
    """
    if rows.shape[1] >= n_wanted:
        return distances, rows
    missing = ((0, 0), (0, n_wanted - rows.shape[1]))
    return np.pad(distances, missing, constant_values=np.inf), np.pad(rows, missing, constant_values=-1)


def selector(n_rows: int, excluded: Bool[np.ndarray, " row"] | None) -> Any:
    """The rows that may be answered, as faiss filters by them inside a search."""
    allowed = np.ones(n_rows, dtype=bool) if excluded is None else ~excluded
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def check_positive(index: str, **values: int) -> None:
    """Check settings of an index that count something.

    Raises:
        ConfigError: the first below 1.
    """
    for name, value in values.items():
        if value < 1:
            raise ConfigError(f"index {index}: {name} is {value}, expected at least 1")
