"""A folder that is written whole or not at all, by one writer at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from src.data.room import room_for


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`; it replaces `folder` when the block ends without an error.

    A second writer waits for the first, then replaces what that one wrote. What a killed writer leaves is removed by
    the next one; if it was killed between the two renames, the former folder is put back first.

    Raises:
        NoRoom: a full disk.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial")
    former = folder.with_name(f".{folder.name}.former")
    with folder_lock(folder):
        _put_back(former, folder)
        _remove(partial)
        partial.mkdir()
        try:
            with room_for(folder, partial):
                yield partial
            _swap(partial, folder, former)
        finally:
            _remove(partial)


def undo_killed_swap(folder: Path) -> None:
    """Put the former folder back where a writer was killed between the two renames; for who only reads."""
    folder = folder.absolute()
    former = folder.parent / f".{folder.name}.former"
    if former.exists() and not folder.exists():
        with folder_lock(folder):
            _put_back(former, folder)


def folder_lock(folder: Path) -> FileLock:
    """The lock that a writer of `folder` holds; to look before writing, hold it around both.

    The operating system releases the lock of a killed process.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_name(f".{folder.name}.lock"), is_singleton=True)


def _swap(partial: Path, folder: Path, former: Path) -> None:
    if folder.exists():
        folder.rename(former)
    try:
        partial.rename(folder)
    finally:
        _put_back(former, folder)


def _put_back(former: Path, folder: Path) -> None:
    if former.exists() and not folder.exists():
        former.rename(folder)
    _remove(former)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
