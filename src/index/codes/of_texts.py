"""Codes that put words among the summaries of slides, and rankings that find slides by such a vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32

from src.interfaces import Code, Ranker, Ranking, Rows


@runtime_checkable
class TextCode(Code, Protocol):
    """A code with a side for text of its own, whatever the encoder of patches has."""

    def encode_text(self, texts: Sequence[str]) -> Float32[np.ndarray, "text dim"]:
        """Unit vectors of texts, among the summaries of slides."""
        ...


@runtime_checkable
class RanksBySummary(Ranker, Protocol):
    """A ranking that can do without codes, and compare the summaries of slides with one vector."""

    def rank_by_summary(
        self,
        query_id: str,
        summary: Float32[np.ndarray, " dim"],
        rows: Rows,
        k: int,
        is_excluded: Bool[np.ndarray, " row"] | None = None,
    ) -> Ranking:
        """The `k` slides whose summaries are nearest; score = cosine."""
        ...
