"""One builder of an index folder at a time: another one waits, and takes up what the first has built."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout

from src.data.whole_folder import folder_lock
from src.errors import ConfigError
from src.index.folder import MANIFEST_FILE, read_manifest

log = logging.getLogger(__name__)


def built_with(folder: Path) -> dict[str, Any]:
    """What the index in a folder remembers of its making, nothing where there is none."""
    return dict(read_manifest(folder)["config"]) if (folder / MANIFEST_FILE).exists() else {}


@contextmanager
def sole_builder(folder: Path, key: str) -> Iterator[None]:
    """Be the only one who looks whether an index is there, and builds it.

    Args:
        folder: where the index goes.
        key: names everything that shapes it.

    Raises:
        ConfigError: who was waited for has built another index there.
    """
    before = built_with(folder).get("key")
    if before == key:
        yield
        return
    lock = folder_lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("index: another process builds %s; this one waits for it", folder)
        lock.acquire()
    try:
        if built_with(folder).get("key") not in (before, key):
            raise ConfigError(
                f"{folder}: another process has built an index of other parts or slides there meanwhile, which stays; "
                "choose another index_dir"
            )
        yield
    finally:
        lock.release()
