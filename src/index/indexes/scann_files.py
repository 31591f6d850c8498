"""The folder that ScaNN writes, as one file: an archive of arrays and protocol buffers, and of nothing else.

ScaNN itself would unpickle the names of rows that it finds in such a folder; an index here has none, and an archive
with any file of another kind is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from src.data.files import written_whole
from src.errors import IndexMismatch

_BYTES_PER_COPY = 1 << 20
_KINDS = (".npy", ".pb", ".pbtxt")


def pack(tree: Any, path: Path) -> None:
    """Write a searcher of ScaNN."""
    with written_whole(path) as temporary, TemporaryDirectory(dir=path.parent, prefix=".scann") as folder:
        tree.serialize(folder, relative_path=True)
        with ZipFile(temporary, "w", ZIP_STORED) as archive:
            for path_in_folder in sorted(Path(folder).iterdir()):
                entry = ZipInfo(path_in_folder.name)  # without the time: equal searchers give equal files
                with path_in_folder.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                    copyfileobj(source, target, _BYTES_PER_COPY)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A folder with what `pack` wrote, for as long as the block lasts.

    Raises:
        IndexMismatch: a file of something else.
    """
    try:
        with ZipFile(path) as archive, TemporaryDirectory(dir=path.parent, prefix=".scann") as folder:
            names = archive.namelist()
            if any(Path(name).suffix not in _KINDS or Path(name).name != name for name in names):
                raise IndexMismatch(f"{path}: holds files that are not of an index; rebuild it with build_index.py")
            archive.extractall(folder)
            yield Path(folder)
    except BadZipFile:
        raise IndexMismatch(f"{path}: not an index of ScaNN; rebuild it with build_index.py") from None
