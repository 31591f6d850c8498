"""Rows that are appended in bounded memory and read from a mapped file."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from src.data.files import written_whole

_ROWS_PER_COPY = 100_000


class Spool:
    """A growing file of rows of one type; it lies in the folder for temporary files until it is saved.

    Args:
        dtype: of what is kept, for numpy.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self._file: IO[bytes] | None = None
        self._shape = (0, 0)
        self._mapped: np.ndarray | None = None

    def append(self, rows: np.ndarray) -> None:
        """Write rows behind those that are there."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the spool
            kept, self._shape = self.rows if len(self) else rows[:0], (0, rows.shape[1])
            for start in range(0, len(kept), _ROWS_PER_COPY):
                self.append(kept[start : start + _ROWS_PER_COPY])
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        self._shape = (self._shape[0] + len(rows), rows.shape[1])
        self._mapped = None

    @property
    def rows(self) -> np.ndarray:
        """Every row, mapped: what is not looked at is not read."""
        if self._mapped is None:
            assert self._file is not None, "nothing was appended"
            self._file.flush()
            self._mapped = np.memmap(self._file, self.dtype, "r", shape=self._shape)
        return np.asarray(self._mapped)  # a plain array: numpy's class of mapped ones slows every step on small parts

    def expect_scattered_reads(self) -> None:
        """Tell the system that the pages behind a row that is read are not worth reading."""
        pages = getattr(self._mapped, "_mmap", None)
        if pages is not None and hasattr(mmap, "MADV_RANDOM"):
            pages.madvise(mmap.MADV_RANDOM)

    def save(self, path: Path) -> None:
        """Write one .npy file, whatever its name."""
        with written_whole(path) as temporary:
            written = np.lib.format.open_memmap(temporary, "w+", self.dtype, shape=self._shape)
            for start in range(0, len(self), _ROWS_PER_COPY):
                written[start : start + _ROWS_PER_COPY] = self.rows[start : start + _ROWS_PER_COPY]
            written.flush()

    def load(self, path: Path) -> None:
        """Map what `save` wrote."""
        self._file = None
        self._mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        self._shape = self._mapped.shape

    def __len__(self) -> int:
        return self._shape[0]
