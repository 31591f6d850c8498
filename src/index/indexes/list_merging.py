"""Inverted lists that were fitted the same become one index, as if one had been given all rows (faiss)."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol, runtime_checkable

import faiss

from src.interfaces import Index


@runtime_checkable
class Mergeable(Protocol):
    """An index that can take in the coded rows of another that was fitted the same."""

    def fit_digest(self) -> str:
        """Names what was fitted."""
        ...

    def merge(self, other: Any) -> None:
        """Append the rows of the other."""
        ...


def are_fitted_the_same(first: Index, other: Index) -> bool:
    """Whether the rows of one can be appended to the other as they are coded."""
    if not isinstance(first, Mergeable) or not isinstance(other, Mergeable):
        return False
    return type(first) is type(other) and first.fit_digest() == other.fit_digest()


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
        return hashlib.sha256(faiss.serialize_index(index).tobytes()).hexdigest()[:12]
    finally:
        ivf.invlists, ivf.own_invlists = lists, True
        index.ntotal = ivf.ntotal = n_rows


def append_lists(index: Any, ivf: Any, other: Any) -> None:
    """Put the rows of each list of `other` behind those of the same list of `ivf`, numbered on.

    Args:
        index: that takes them, with what stands before its lists.
        ivf: its lists.
        other: lists that stay as they are, which may be mapped.
    """
    for number in range(ivf.nlist):
        n_rows = other.invlists.list_size(number)
        if n_rows:
            rows = faiss.rev_swig_ptr(other.invlists.get_ids(number), n_rows) + ivf.ntotal
            ivf.invlists.add_entries(number, n_rows, faiss.swig_ptr(rows), other.invlists.get_codes(number))
    index.ntotal = ivf.ntotal = ivf.ntotal + other.ntotal
