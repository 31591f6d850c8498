"""An index whose rows lie in a database: its folder only says where, and which of the keys there are its rows.

The folder is the truth. A row that is added gets a new key, and one that is removed stays in the database until a
folder without it has been written, so a run that fails or is killed leaves the old folder with all of its rows. What
such a run has left in the database is no row of that folder: searches pass over it, and the next run that adds rows
clears it.
"""

from __future__ import annotations

import json
import logging
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from src.data.files import write_json, written_whole
from src.errors import ConfigError, IndexMismatch
from src.index.indexes.checks import check_search, checked, sorted_neighbours
from src.index.indexes.row_keys import NO_RUNS, Choice, RowKeys, n_keys
from src.interfaces import CodeKind, Codes, Neighbours

_log = logging.getLogger(__name__)

Nearest = tuple[Float32[np.ndarray, "query k"], Int64[np.ndarray, "query k"]]


@runtime_checkable
class VectorDatabase(Protocol):
    """Vectors by their keys, in one table of a database.

    Attributes:
        name: of the kind of database, as the index is named.
        address: of the database.
        rows_per_batch: rows that are sent at once.
        most_answers: to one query; None for any number.
    """

    name: str
    address: str
    rows_per_batch: int
    most_answers: int | None

    def create(self, dim: int) -> str:
        """Make a new table and open it; returns its name."""
        ...

    def open(self, table: str) -> None:
        """Open a table.

        Raises:
            IndexMismatch: there is none, or it is not what an index made.
        """
        ...

    def put(
        self, keys: Int64[np.ndarray, " row"], parts: Int64[np.ndarray, " row"], vectors: Float32[np.ndarray, "row dim"]
    ) -> None:
        """Write rows, over those that have these keys."""
        ...

    def delete(self, first: int, end: int | None = None) -> None:
        """Delete the keys from `first` until before `end`."""
        ...

    def count(self, end: int | None = None) -> int:
        """How many keys there are before `end`."""
        ...

    def finish(self) -> dict[str, Any]:
        """Build the database's own index of all rows; returns what was built, JSON-serialisable."""
        ...

    def nearest(self, vectors: Float32[np.ndarray, "query dim"], k: int, choice: Choice | None) -> Nearest:
        """Squared distances and keys of the `k` nearest allowed rows of each query; key -1 where there are fewer."""
        ...

    def drop(self, table: str) -> None:
        """Delete a table with all of its rows."""
        ...


class DatabaseIndex:
    """Squared Euclidean distances, as the database's own index finds them.

    Args:
        database: where the rows lie.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean, approximate"

    def __init__(self, database: VectorDatabase) -> None:
        self._database = database
        self._table = ""
        self._dim: int | None = None
        self._keys = RowKeys()
        self._next_key = 0
        self._next_part = 0
        self._gone = NO_RUNS
        self._unsent: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._built: dict[str, Any] | None = None
        self._is_clear = True
        self._drop_unless_saved: Any = None

    def train(self, sample: Codes) -> None:
        """Nothing is fitted here; the sample gives the dimension of a new table."""
        self._dim = checked(sample, self.accepts, None, self._database.name).shape[1]
        self._table = self._database.create(self._dim)
        self._drop_unless_saved = weakref.finalize(self, _drop, self._database, self._table)

    def add(self, codes: Codes) -> None:
        """Append codes, as one part.

        Raises:
            HistoseekError: codes of the wrong kind or size, or not finite, or an index that is not trained.
        """
        if self._dim is None:
            raise ConfigError(f"index {self._database.name} is not trained; train or load it before adding codes")
        vectors = checked(codes, self.accepts, self._dim, self._database.name)
        self._clear()
        self._unsent.append((np.arange(len(vectors)) + self._next_key, np.full(len(vectors), self._next_part), vectors))
        self._keys = self._keys.appended(len(vectors), self._next_key, self._next_part)
        self._next_key, self._next_part = self._next_key + len(vectors), self._next_part + 1
        self._built = None
        if sum(len(keys) for keys, _, _ in self._unsent) >= self._database.rows_per_batch:
            self._send()

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query among those that the database finds."""
        check_search(k, len(self), excluded, self._database.name)
        vectors = checked(queries, self.accepts, self._dim, self._database.name)
        self._finish()
        most = self._database.most_answers or k
        if k > most:
            return self._paged(vectors, k, most, np.zeros(len(self), dtype=bool) if excluded is None else excluded)
        distances, keys = self._database.nearest(vectors, k, self._choice(excluded))
        return sorted_neighbours(distances, self._keys.rows_of(keys))

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up. They leave the database by `settle`, or when a folder is next loaded."""
        self._gone = np.vstack([self._gone, self._keys.of_rows(is_removed)])
        self._keys = RowKeys(self._keys.of_rows(~is_removed))

    def settle(self) -> None:
        """Delete from the database what was removed, now that no folder has it."""
        for first, end, _ in self._gone.tolist():
            self._database.delete(first, end)
        self._gone = NO_RUNS

    def save(self, path: Path) -> None:
        """Write where the rows lie, and their keys in `index.keys.npy`."""
        self._finish()
        write_json(path, self._state())
        for name, runs in (("keys", self._keys.runs), ("gone", self._gone)):
            with written_whole(_beside(path, name)) as temporary, temporary.open("wb") as file:
                np.save(file, runs, allow_pickle=False)
        if self._drop_unless_saved is not None:
            self._drop_unless_saved.detach()

    def load(self, path: Path) -> None:
        """Open the table that `save` named, and delete what had been removed of it.

        Raises:
            IndexMismatch: a table that is missing, or has lost rows.
        """
        kept = json.loads(path.read_text(encoding="utf-8"))
        self._table, self._dim, self._built = kept["table"], kept["dim"], kept["built"]
        self._next_key, self._next_part = kept["next_key"], kept["next_part"]
        self._keys = RowKeys(np.load(_beside(path, "keys"), allow_pickle=False))
        self._gone = np.load(_beside(path, "gone"), allow_pickle=False)
        self._database.open(self._table)
        self._is_clear = False
        self._check_count()

    def describe(self) -> dict[str, Any]:
        """What the database built, for the manifest."""
        return {**self._finish(), "dim": self._dim}

    def __len__(self) -> int:
        return len(self._keys)

    def _choice(self, excluded: Bool[np.ndarray, " row"] | None) -> Choice | None:
        if excluded is None and not len(self._gone):
            return None
        is_excluded = np.zeros(len(self), dtype=bool) if excluded is None else excluded
        forbidden = np.vstack([self._keys.of_rows(is_excluded), self._gone])
        return Choice(self._keys.of_rows(~is_excluded), forbidden)

    def _paged(
        self, vectors: Float32[np.ndarray, "query dim"], k: int, most: int, excluded: Bool[np.ndarray, " row"]
    ) -> Neighbours:
        """More answers than the database gives at once: those found are left out of the next search."""
        distances = np.full((len(vectors), k), np.inf, np.float32)
        rows = np.full((len(vectors), k), -1, np.int64)
        for query, vector in enumerate(vectors):
            found = self._pages(vector[None], min(k, len(self)), most, excluded.copy())
            distances[query, : len(found[0])], rows[query, : len(found[1])] = found
        return sorted_neighbours(distances, rows)

    def _pages(
        self, vector: Float32[np.ndarray, "1 dim"], k: int, most: int, is_found: Bool[np.ndarray, " row"]
    ) -> tuple[Float32[np.ndarray, " found"], Int64[np.ndarray, " found"]]:
        distances, rows, n_wanted = [], [], k
        while n_wanted and not is_found.all():
            page, keys = self._database.nearest(vector, min(n_wanted, most), self._choice(is_found))
            new = self._keys.rows_of(keys)[0]
            if not (new >= 0).any():
                break
            distances.append(page[0][new >= 0])
            rows.append(new[new >= 0])
            is_found[rows[-1]] = True
            n_wanted -= len(rows[-1])
        return np.concatenate([*distances, np.zeros(0, np.float32)]), np.concatenate([*rows, np.zeros(0, np.int64)])

    def _send(self) -> None:
        if not self._unsent:
            return
        keys, parts, vectors = (np.concatenate(column) for column in zip(*self._unsent, strict=True))
        for start in range(0, len(keys), self._database.rows_per_batch):
            batch = slice(start, start + self._database.rows_per_batch)
            self._database.put(keys[batch], parts[batch], vectors[batch])
        self._unsent = []

    def _finish(self) -> dict[str, Any]:
        if self._built is None:
            self._send()
            self._built = self._database.finish()
        return self._built

    def _clear(self) -> None:
        """Delete what a run that failed or was killed has added."""
        if not self._is_clear:
            self._database.delete(self._next_key)
            self._is_clear = True

    def _state(self) -> dict[str, Any]:
        following = {"next_key": self._next_key, "next_part": self._next_part}
        place = {"address": self._database.address, "table": self._table, "n_rows": len(self), "dim": self._dim}
        return {**place, **following, "built": self._built}

    def _check_count(self) -> None:
        n_rows = self._database.count(self._next_key)
        if n_rows > len(self) and len(self._gone):
            n_gone = n_keys(self._gone)
            self.settle()
            _log.info("index %s: deleted %d rows that had been removed", self._database.name, n_gone)
            n_rows = self._database.count(self._next_key)
        self._gone = NO_RUNS
        if n_rows != len(self):
            raise IndexMismatch(
                f"index {self._database.name}: {self._table} has {n_rows} of the {len(self)} rows that this index was "
                "built with; someone else has changed it, so build the index again with build_index.py"
            )


def _drop(database: VectorDatabase, table: str) -> None:
    with suppress(Exception):  # as this may run while the process ends
        database.drop(table)


def _beside(path: Path, name: str) -> Path:
    """`index.keys.npy` beside `index.faiss`."""
    return path.with_name(f"{path.stem}.{name}.npy")
