"""Rows that are appended in bounded memory and read from a mapped file."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Bool

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
            self._append_parts(kept)
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        self._shape = (self._shape[0] + len(rows), rows.shape[1])
        self._mapped = None

    def extend(self, other: Spool) -> None:
        """Write the rows of another spool behind those that are there, part by part."""
        self._append_parts(other.rows)

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others are written to a file of their own, part by part."""
        left = Spool(self.dtype)
        for start in range(0, len(self), _ROWS_PER_COPY):
            part = slice(start, start + _ROWS_PER_COPY)
            left.append(self.rows[part][~is_removed[part]])
        self._file, self._shape, self._mapped = left._file, left._shape, None

    @property
    def rows(self) -> np.ndarray:
        """Every row, mapped: what is not looked at is not read."""
        if self._mapped is None:
            assert self._file is not None, "nothing was appended"
            self._file.flush()
            is_empty = not len(self)  # which no mapping can be
            self._mapped = (
                np.zeros(self._shape, self.dtype)
                if is_empty
                else np.memmap(self._file, self.dtype, "r", shape=self._shape)
            )
        return np.asarray(self._mapped)  # a plain array: numpy's class of mapped ones slows every step on small parts

    def expect_scattered_reads(self) -> None:
        """Tell the system that the pages behind a row that is read are not worth reading."""
        pages = getattr(self._mapped, "_mmap", None)
        if pages is not None and hasattr(mmap, "MADV_RANDOM"):
            pages.madvise(mmap.MADV_RANDOM)

    def save(self, path: Path) -> None:
        """Write one .npy file, whatever its name."""
        with written_whole(path) as temporary, temporary.open("wb") as file:
            # Not through a mapping: where the disk is full, a write to that ends the process.
            np.lib.format.write_array_header_1_0(file, self._header())
            for start in range(0, len(self), _ROWS_PER_COPY):
                file.write(np.ascontiguousarray(self.rows[start : start + _ROWS_PER_COPY]).data)

    def load(self, path: Path) -> None:
        """Map what `save` wrote."""
        self._file = None
        self._mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        self._shape = self._mapped.shape

    def __len__(self) -> int:
        return self._shape[0]

    def _append_parts(self, rows: np.ndarray) -> None:
        for start in range(0, len(rows), _ROWS_PER_COPY):
            self.append(rows[start : start + _ROWS_PER_COPY])

    def _header(self) -> dict[str, Any]:
        descr = np.lib.format.dtype_to_descr(np.dtype(self.dtype))
        return {"descr": descr, "fortran_order": False, "shape": self._shape}
