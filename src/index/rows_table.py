"""Where each row of an index comes from, a parquet table: row, slide_id, patient_id, x, y, patch_width, patch_height.

Positions and sizes are level-0 pixels. Rows stand in the order of the index, slide after slide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int64

from src.data.files import written_whole
from src.errors import ConfigError
from src.interfaces import Rows

_ROWS_AT_ONCE = 1 << 19
_NAME = pa.dictionary(pa.int64(), pa.string())
_SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "slide_id": _NAME,
        "patient_id": _NAME,
        **dict.fromkeys(("x", "y", "patch_width", "patch_height"), pa.int64()),
    }
)
EMPTY_ROWS = Rows((), (), np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64))


@dataclass(frozen=True)
class IndexedSlide:
    """What an index keeps of a slide beside its codes.

    Attributes:
        xy: top-left corner of each indexed patch, level-0 pixels.
        patch_size_level0: width and height of a patch, level-0 pixels.
    """

    slide_id: str
    patient_id: str
    xy: Int64[np.ndarray, "patch 2"]
    patch_size_level0: tuple[int, int]


@dataclass(frozen=True)
class RowsTable:
    """The rows of an index, and how large the patches of each slide are.

    Attributes:
        patch_sizes: width and height of a patch of each slide, level-0 pixels.
    """

    rows: Rows
    patch_sizes: Int64[np.ndarray, "slide 2"]

    @staticmethod
    def of(slides: Sequence[IndexedSlide]) -> RowsTable:
        """The table of slides that were added in this order."""
        counts = [len(slide.xy) for slide in slides]
        rows = Rows(
            tuple(slide.slide_id for slide in slides),
            tuple(slide.patient_id for slide in slides),
            np.repeat(np.arange(len(slides), dtype=np.int64), counts),
            np.concatenate([EMPTY_ROWS.xy, *(slide.xy for slide in slides)]),
        )
        sizes = np.array([slide.patch_size_level0 for slide in slides], dtype=np.int64)
        return RowsTable(rows, sizes.reshape(-1, 2))

    @staticmethod
    def joined(tables: Sequence[RowsTable]) -> RowsTable:
        """The rows of several tables, one after the other.

        Raises:
            ConfigError: a slide that stands in two of them.
        """
        parts = [table.rows for table in tables]
        check_distinct([slide_id for part in parts for slide_id in part.slide_ids])
        starts = np.cumsum([0, *(len(part.slide_ids) for part in parts)])
        rows = Rows(
            tuple(slide_id for part in parts for slide_id in part.slide_ids),
            tuple(patient_id for part in parts for patient_id in part.patient_ids),
            np.concatenate([part.slide_of_row + start for part, start in zip(parts, starts, strict=False)]),
            np.concatenate([part.xy for part in parts]),
        )
        return RowsTable(rows, np.concatenate([table.patch_sizes for table in tables]))

    def without(self, is_removed: Bool[np.ndarray, " slide"]) -> RowsTable:
        """The table of the other slides."""
        rows, kept = self.rows, np.flatnonzero(~is_removed)
        is_kept_row = ~is_removed[rows.slide_of_row]
        new_place = np.cumsum(~is_removed) - 1
        left = Rows(
            tuple(rows.slide_ids[place] for place in kept),
            tuple(rows.patient_ids[place] for place in kept),
            new_place[rows.slide_of_row[is_kept_row]],
            rows.xy[is_kept_row],
        )
        return RowsTable(left, self.patch_sizes[kept])

    def write(self, path: Path) -> None:
        """Write the parquet file, whole or not at all, some rows at a time."""
        with written_whole(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA) as writer:
            for start in range(0, len(self.rows), _ROWS_AT_ONCE):
                writer.write_table(self._part(start))

    def _part(self, start: int) -> pa.Table:
        rows, own = self.rows, slice(start, start + _ROWS_AT_ONCE)
        slide, (x, y) = rows.slide_of_row[own], rows.xy[own].T
        width, height = self.patch_sizes[slide].T
        return pa.table(
            {
                "row": np.arange(start, start + len(slide)),
                "slide_id": pa.DictionaryArray.from_arrays(slide, pa.array(rows.slide_ids, pa.string())),
                "patient_id": pa.DictionaryArray.from_arrays(slide, pa.array(rows.patient_ids, pa.string())),
                "x": x,
                "y": y,
                "patch_width": width,
                "patch_height": height,
            },
            schema=_SCHEMA,
        )

    @staticmethod
    def read(path: Path) -> RowsTable:
        """Read what `write` wrote."""
        table = pq.read_table(path, partitioning=None).unify_dictionaries()
        slide = _dictionary_indices(table, "slide_id")
        is_first = np.diff(slide, prepend=-1) != 0
        first = table.take(np.flatnonzero(is_first))
        rows = Rows(
            tuple(first["slide_id"].to_pylist()),
            tuple(first["patient_id"].to_pylist()),
            np.cumsum(is_first) - 1,
            _columns(table, "x", "y"),
        )
        return RowsTable(rows, _columns(first, "patch_width", "patch_height"))


def check_distinct(slide_ids: Sequence[str]) -> None:
    """Raise ConfigError for a slide that would be in an index twice."""
    if len(set(slide_ids)) < len(slide_ids):
        twice = next(slide_id for slide_id, count in Counter(slide_ids).items() if count > 1)
        raise ConfigError(f"{twice} would be in the index twice, so its patches would count twice; leave one out")


def _dictionary_indices(table: pa.Table, name: str) -> np.ndarray:
    return np.asarray(table[name].combine_chunks().indices)


def _columns(table: pa.Table, *names: str) -> Int64[np.ndarray, "row column"]:
    return np.stack([table[name].to_numpy() for name in names], axis=1)
