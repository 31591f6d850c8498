"""Rows leave an index: those that stay keep their codes and their order, and are numbered anew."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import faiss
import numpy as np
from jaxtyping import Bool

from src.errors import ConfigError
from src.index.indexes.checks import selector
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
    """Take rows out of faiss's inverted lists, which go on with their old numbers until these are replaced.

    Args:
        index: with what stands before the lists, such as a padding.
        ivf: the lists.
        is_removed: rows that leave.

    Raises:
        ConfigError: lists whose rows are packed in blocks, which would keep traces of those that left.
    """
    if not isinstance(faiss.downcast_InvertedLists(ivf.invlists), faiss.ArrayInvertedLists):
        raise ConfigError("index: fast-scan codes cannot be removed without a trace; build it again without the slides")
    remove_from_array(index, is_removed)
    new_row = np.cumsum(~is_removed) - 1
    for number in range(ivf.nlist):
        size = ivf.invlists.list_size(number)
        if size:
            rows = faiss.rev_swig_ptr(ivf.invlists.get_ids(number), size)
            rows[:] = new_row[rows]
