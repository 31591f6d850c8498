"""Which parts of an engine fit together."""

from __future__ import annotations

from src.errors import IncompatibleParts
from src.index.codes.of_slides import check_summaries
from src.index.indexes.checks import fits
from src.index.part_name import part_name
from src.interfaces import Code, Index, Ranker


def check_parts(code: Code, index: Index, ranking: Ranker) -> None:
    """Refuse parts that cannot be an engine.

    Raises:
        IncompatibleParts: the code gives another kind than the index takes, or the index states another distance than
            the ranking can judge, or the ranking counts what the code does not give.
    """
    if not fits(code.kind, index.accepts):
        raise IncompatibleParts(
            f"index {part_name(index)} takes {index.accepts} codes, code {part_name(code)} gives {code.kind} ones; "
            f"choose a code= that gives {index.accepts} codes or an index= that takes {code.kind} ones"
        )
    if ranking.distance_unit not in (None, index.distance_unit):
        raise IncompatibleParts(
            f"ranking {part_name(ranking)} judges distances in {ranking.distance_unit}, index {part_name(index)} "
            f"states {index.distance_unit}; choose another ranking= or index="
        )
    check_summaries(code, ranking)
