"""Rows leave an index: those that stay keep their codes and their order, and are numbered anew."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import faiss
import numpy as np
from jaxtyping import Bool

from src.errors import ConfigError
from src.index.indexes.checks import selector
from src.index.indexes.list_codes import codes_of, empty_like, fill, rows_of
from src.index.part_name import part_name
from src.interfaces import Codes, Index


@runtime_checkable
class Removable(Protocol):
    """An index that can let rows go without being fitted again."""

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up. What was fitted stays as it was."""
        ...


@runtime_checkable
class KeepsCodes(Protocol):
    """An index that keeps its codes as they came in."""

    def codes(self) -> Codes:
        """Of every row, in their order."""
        ...


def remove_rows(index: Index, is_removed: Bool[np.ndarray, " row"]) -> None:
    """Take rows out of an index.

    Raises:
        ConfigError: an index that cannot.
    """
    if not isinstance(index, Removable):
        raise ConfigError(
            f"index {part_name(index)} cannot remove rows; build it again from a cohort without these slides"
        )
    index.remove(is_removed)


def remove_from_array(index: Any, is_removed: Bool[np.ndarray, " row"]) -> None:
    """Take rows out of a faiss index that numbers them by their place."""
    index.remove_ids(selector(len(is_removed), ~is_removed))


def remove_from_lists(index: Any, ivf: Any, is_removed: Bool[np.ndarray, " row"]) -> None:
    """Take rows out of faiss's inverted lists; the others keep their codes and their order, and are numbered anew.

    The lists are written anew, as a list that shrinks would keep the codes behind its end; for a moment there is memory
    for both.

    Args:
        index: with what stands before the lists, such as a padding.
        ivf: the lists.
        is_removed: rows that leave.
    """
    old = faiss.downcast_InvertedLists(ivf.invlists)
    new = empty_like(old)
    new_row = np.cumsum(~is_removed) - 1
    for number in range(ivf.nlist):
        if old.list_size(number):
            rows = rows_of(old, number)
            kept = np.flatnonzero(~is_removed[rows])
            if len(kept):
                fill(new, number, new_row[rows[kept]], codes_of(old, number)[kept])
    new.this.disown()
    ivf.replace_invlists(new, True)
    index.ntotal = ivf.ntotal = int((~is_removed).sum())
