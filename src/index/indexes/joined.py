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
from src.index.indexes.removal import KeepsCodes
from src.interfaces import Codes, Index, Neighbours


def joined_index(indexes: Sequence[Index]) -> Index:
    """The rows of all indexes, one after the other.

    Indexes that keep their codes give what one over all rows would give; the first takes in the codes of the others.
    Of others the answers are merged by distance, so that none is lost that its own index finds.

    Raises:
        IncompatibleParts: indexes whose distances cannot be compared, as each has learned its own bits.
    """
    first, *others = indexes
    if isinstance(first, Hashing):
        raise IncompatibleParts(
            f"index {type(first).__name__} learns its bits anew from every cohort, so the distances of several cannot "
            "be compared; add the slides to one: python build_index.py index_dir=DIR add=slides.csv"
        )
    if not isinstance(first, KeepsCodes):
        return Joined(indexes)
    for other in others:
        assert isinstance(other, KeepsCodes)
        first.add(other.codes())
    return first


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
