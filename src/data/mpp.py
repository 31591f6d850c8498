"""Microns per pixel of a slide: from the cohort table, else from the file, else a stated default; never a guess."""

from __future__ import annotations

from src.errors import MppMissing
from src.interfaces import MppSource

MIN_MPP, MAX_MPP = 0.05, 20.0
"""Finer than any objective resolves, coarser than any scanner's overview."""

_WHERE: dict[MppSource, str] = {"table": "the cohort table", "file": "the file", "default": "default_mpp"}


def resolve_mpp(
    slide_id: str, table: float | None, file: float | None, default: float | None
) -> tuple[float, MppSource]:
    """The first of `table`, `file`, `default` that is stated, and which one it was.

    Raises:
        MppMissing: none is stated, or the one that counts is not a number within 0.05..20 um.
    """
    sources: tuple[tuple[float | None, MppSource], ...] = ((table, "table"), (file, "file"), (default, "default"))
    for mpp, source in sources:
        if mpp is not None:
            _refuse_implausible(slide_id, mpp, source)
            return float(mpp), source
    raise MppMissing(
        f"{slide_id}: neither the cohort table nor the file states microns per pixel; "
        "fill in the table's column mpp, or set default_mpp"
    )


def _refuse_implausible(slide_id: str, mpp: float, source: MppSource) -> None:
    if not MIN_MPP <= mpp <= MAX_MPP:  # also false for NaN
        raise MppMissing(
            f"{slide_id}: {_WHERE[source]} states {mpp:g} um per pixel, expected {MIN_MPP:g} to {MAX_MPP:g}; "
            "correct it in the cohort table's column mpp"
        )
