"""Indexes that were fitted the same become one, as if it had been given all rows; how faiss's inverted lists do so."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import faiss
import numpy as np

from src.data.files import bytes_digest
from src.index.indexes.list_codes import codes_of, empty_like, fill, rows_of
from src.interfaces import Index


@runtime_checkable
class Mergeable(Protocol):
    """An index that can take in the coded rows of another that was fitted the same."""

    def fit_digest(self) -> str | None:
        """Names what was fitted; None where one part of it cannot be merged."""
        ...

    def merge(self, other: Any) -> None:
        """Append the rows of the other."""
        ...


def are_fitted_the_same(first: Index, other: Index) -> bool:
    """Whether the rows of one can be appended to the other as they are coded."""
    digest = fit_digest_of(first)
    return digest is not None and type(first) is type(other) and digest == fit_digest_of(other)


def fit_digest_of(index: Index) -> str | None:
    """Names what was fitted; None for an index that cannot be merged."""
    return index.fit_digest() if isinstance(index, Mergeable) else None


def fit_digest(index: Any, ivf: Any) -> str:
    """Twelve hexadecimal digits of the index without its rows.

    Args:
        index: with what stands before the lists, such as a rotation.
        ivf: the lists.
    """
    lists, n_rows = ivf.invlists, ivf.ntotal
    empty = faiss.ArrayInvertedLists(ivf.nlist, ivf.code_size)
    ivf.invlists, ivf.own_invlists = empty, False
    index.ntotal = ivf.ntotal = 0
    try:
        return bytes_digest(faiss.serialize_index(index).tobytes())
    finally:
        ivf.invlists, ivf.own_invlists = lists, True
        index.ntotal = ivf.ntotal = n_rows


def append_lists(index: Any, ivf: Any, other: Any) -> None:
    """Put the rows of each list of `other` behind those of the same list of `ivf`, numbered on.

    The lists are written anew, so that merged blocks of a fast scan are filled as those of one index are.

    Args:
        index: that takes them, with what stands before its lists.
        ivf: its lists.
        other: lists that stay as they are, which may be mapped.
    """
    parts = [faiss.downcast_InvertedLists(each.invlists) for each in (ivf, other)]
    new = empty_like(parts[0])
    for number in range(ivf.nlist):
        rows = [rows_of(parts[0], number), rows_of(parts[1], number) + ivf.ntotal]
        if sum(map(len, rows)):
            codes = [codes_of(part, number) for part, own in zip(parts, rows, strict=True) if len(own)]
            fill(new, number, np.concatenate(rows), np.concatenate(codes))
    new.this.disown()
    ivf.replace_invlists(new, True)
    index.ntotal = ivf.ntotal = ivf.ntotal + other.ntotal
