"""Indexes that keep something outside of their folder, which a swap of folders does not reach."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from src.interfaces import Index


@runtime_checkable
class Settling(Protocol):
    """An index that lets removed rows go only once no folder has them."""

    def settle(self) -> None:
        """Let them go: the folder that was written last is in its place."""
        ...


def settle(index: Index) -> None:
    """Let an index clear what only its former folder had; without this it does so when the folder is next loaded."""
    if isinstance(index, Settling):
        index.settle()
