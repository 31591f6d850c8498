"""A disk that is full, said in one line, whoever has found it: Python, faiss, pyarrow, or a library that only fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.errors import NoRoom

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MEGABYTE = 1_000_000


def is_full(error: Exception) -> bool:
    """Whether an error says that there is no room; faiss says it in words only."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(os.strerror(number) in str(error) for number in _FULL)


@contextmanager
def room_for(folder: Path, partial: Path) -> Iterator[None]:
    """Say of a folder that is written beside its place how much room it takes, where there is too little.

    Args:
        folder: what there will be.
        partial: where it is written.

    Raises:
        NoRoom: a full disk.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not is_full(error):
            raise
        needed = max(_size_bytes(partial), _size_bytes(folder)) / _MEGABYTE
        raise NoRoom(
            f"{folder}: no room on its disk, which needs more than {needed:.1f} MB beside what is there; what is there "
            "is as it was; make room, or choose another folder"
        ) from error


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))
