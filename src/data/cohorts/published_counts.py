"""A public data set is as large as it was published, or its user says that a part is wanted."""

from __future__ import annotations

from src.errors import CohortError


def refuse_other_count(cohort: str, what: str, found: int, published: int) -> None:
    """Raise CohortError unless as many were found as are published."""
    if found != published:
        raise CohortError(
            f"{cohort}: {found} {what} were found, {published} are published; get the others, "
            "or take what is there with data.is_complete=false"
        )
