"""Codes that stand for a slide as a whole, and what an engine has to know of them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from src.errors import IncompatibleParts
from src.index.part_name import part_name
from src.interfaces import Code, Codes, Ranker


@runtime_checkable
class SlideCode(Code, Protocol):
    """A code that looks at all patches of a slide together, and gives a fixed number of codes and a summary of it."""

    def encode_slide(self, features: Float32[np.ndarray, "patch feature"]) -> tuple[Int64[np.ndarray, " code"], Codes]:
        """For each code the row of the patch that counts most in it, and the codes; their summary is one vector."""
        ...


@runtime_checkable
class CountsSummaries(Protocol):
    """A ranking that compares the summaries of slides too.

    Attributes:
        counts_summaries: always true.
    """

    counts_summaries: bool


def with_places(code: Code, features: Float32[np.ndarray, "patch feature"]) -> tuple[Int64[np.ndarray, " code"], Codes]:
    """The codes of a slide, and the row of the patch where each lies: its own, unless slides are coded as a whole."""
    if isinstance(code, SlideCode):
        return code.encode_slide(features)
    return np.arange(len(features)), code.encode(features)


def check_summaries(code: Code, ranking: Ranker) -> None:
    """Raise IncompatibleParts for a ranking of summaries without these, or of patches without patches."""
    if isinstance(ranking, CountsSummaries) and not isinstance(code, SlideCode):
        raise IncompatibleParts(
            f"ranking {part_name(ranking)} compares slides as a whole, code {part_name(code)} codes each patch for "
            "itself; choose code=pathsearch, or another ranking="
        )
    if isinstance(code, SlideCode) and ranking.ranks == "patches":
        raise IncompatibleParts(
            f"ranking {part_name(ranking)} ranks patches, code {part_name(code)} codes slides as a whole; choose a "
            "ranking= of slides, or another code="
        )
