"""Several indexes of one kind as one: where they keep their codes, one takes them all; else answers are merged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Bool

from src.errors import ConfigError, IncompatibleParts
from src.index.background import Hashing
from src.index.indexes.checks import check_search
from src.index.indexes.merged_search import merged_search
from src.index.indexes.merging import Mergeable, are_fitted_the_same, fit_digest_of
from src.index.indexes.removal import KeepsCodes
from src.interfaces import Codes, Index, Neighbours


def joined_index(indexes: Sequence[Index]) -> Index:
    """The rows of all indexes, one after the other.

    Indexes that keep their codes, or were fitted the same, give what one over all rows would give; the first takes in
    the codes of the others. The answers of other indexes are merged by distance, so that none is lost that one finds.

    Raises:
        IncompatibleParts: indexes whose distances cannot be compared, as each has learned its own bits.
    """
    first, *others = indexes
    if isinstance(first, KeepsCodes):
        for other in others:
            assert isinstance(other, KeepsCodes)
            first.add(other.codes())
        return first
    if isinstance(first, Mergeable) and all(are_fitted_the_same(first, other) for other in others):
        for other in others:
            first.merge(other)
        return first
    if isinstance(first, Hashing):
        raise IncompatibleParts(
            f"index {type(first).__name__} learns its bits anew from every cohort, so the distances of several cannot "
            "be compared; add the slides to one: python build_index.py index_dir=DIR add=slides.csv"
        )
    return Joined(indexes)


def can_be_merged(index: Index) -> bool:
    """Whether one index can take in the rows of others that were fitted the same, so that it can be written."""
    return isinstance(index, KeepsCodes) or fit_digest_of(index) is not None


class Joined:
    """The `k` nearest rows of all indexes; equal distances go to the smaller row. It is only searched.

    Args:
        indexes: whose distances can be compared.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        self.indexes = indexes
        self.accepts = indexes[0].accepts
        self.distance_unit = indexes[0].distance_unit

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query."""
        check_search(k, len(self), excluded, "joined")
        return merged_search(self.indexes, queries, k, excluded)

    def describe(self) -> dict[str, Any]:
        """What each index became."""
        return {"joined": [index.describe() for index in self.indexes]}

    def train(self, sample: Codes) -> None:
        """Refused."""
        _refuse()

    def add(self, codes: Codes) -> None:
        """Refused."""
        _refuse()

    def save(self, path: Path) -> None:
        """Refused."""
        _refuse()

    def load(self, path: Path) -> None:
        """Refused."""
        _refuse()

    def __len__(self) -> int:
        return sum(map(len, self.indexes))


def _refuse() -> NoReturn:
    raise ConfigError("several indexes that are searched as one cannot be changed or written; change each by itself")
