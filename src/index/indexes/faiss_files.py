"""faiss's own files: written whole, and read into memory or mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss

from src.data.files import written_whole


def write_faiss(index: Any, path: Path) -> None:
    """Write an index of float vectors, whole or not at all."""
    with written_whole(path) as temporary:
        faiss.write_index(index, str(temporary))


def read_faiss(path: Path, is_mapped: bool = False) -> Any:
    """Read what `write_faiss` wrote; the caller has checked where the file comes from.

    Args:
        path: the file.
        is_mapped: leave codes and vectors in the file, where the system reads what a search looks at. Such an index
            cannot be changed.
    """
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if is_mapped else 0)
