"""What an engine asks of a code that has weights: a name for them, and a file to keep with the index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from src.index.folder import HEAD_FILE, OpenedFolder, mismatch
from src.interfaces import Code


@runtime_checkable
class LearnedCode(Code, Protocol):
    """A code that may have weights of its own; without any, its digest is None and nothing is written."""

    def digest(self) -> str | None:
        """Names the weights."""
        ...

    def write(self, path: Path) -> None:
        """Write the weights, so that the index can be searched without the file that they came from."""
        ...


def weights_file(code: Code) -> dict[str, Callable[[Path], None]]:
    """What writes the weights into an index folder, by the name of the file; nothing where there are none."""
    return {HEAD_FILE: code.write} if isinstance(code, LearnedCode) and code.digest() else {}


def expect_weights(opened: OpenedFolder, code: Code) -> None:
    """Raise IndexMismatch when an index folder was built with other weights than the code has."""
    found, built_with = weights_digest(code), opened.manifest.get("weights")
    if found != built_with:
        raise mismatch(
            opened.folder,
            f"built with trained weights {built_with}, head.checkpoint= gives {found}; leave that out to search with "
            "the weights of the index",
        )


def weights_digest(code: Code) -> str | None:
    """Names the weights of a code, None where it has none."""
    return code.digest() if isinstance(code, LearnedCode) else None
