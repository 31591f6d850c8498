"""Indexes that decide what they are once they have seen every row."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from src.interfaces import Index


@runtime_checkable
class Finishing(Protocol):
    """An index that is not ready after the last `add`; it finishes by itself when it is asked for something."""

    def finish(self) -> None:
        """Become what is searched."""
        ...


def finish(index: Index) -> None:
    """Let an index that has to finish do so now, so that its time counts as building."""
    if isinstance(index, Finishing):
        index.finish()
