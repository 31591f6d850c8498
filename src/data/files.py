"""Files are written whole or not at all, and everything that is cached is named by a digest of what shaped it."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_MIB = 1 << 20


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` when the block ends without an error.

    Writers in several processes do not meet: the temporary name carries the process id. What a killed process leaves
    is removed by the next writer of the same path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_partials_of_dead_writers(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write readable JSON, keys in the order given; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")


def digest(value: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that name a JSON-serialisable mapping, whatever the order of its keys.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    return bytes_digest(json.dumps(value, sort_keys=True, default=str).encode())


def bytes_digest(content: bytes) -> str:
    """Twelve hexadecimal digits that name bytes."""
    return hashlib.sha256(content).hexdigest()[:12]


def sha256_of(path: Path) -> str:
    """SHA-256 of a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slide_digest(path: Path) -> str:
    """Twelve digits that change when a slide is replaced; of its size, first and last MiB, as slides are large."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_MIB)
        file.seek(max(0, size - _MIB))
        tail = file.read(_MIB)
    return bytes_digest(f"{size}".encode() + head + tail)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove_partials_of_dead_writers(path: Path) -> None:
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        pid = partial.name.split(".")[-2]
        if pid.isdigit() and not _is_alive(int(pid)):
            partial.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
