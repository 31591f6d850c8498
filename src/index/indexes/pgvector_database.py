"""A table of PostgreSQL, as an index uses it: made, filled, indexed, searched."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from src.errors import ConfigError, IndexMismatch
from src.index.indexes.database_index import Nearest
from src.index.indexes.optional import optional_package
from src.index.indexes.pgvector_kinds import check_dim, making, searching
from src.index.indexes.row_keys import Choice, Runs

_COMMENT = "an index of histoseek"
_SECONDS_TO_CONNECT = 10
_SOURCE = "SELECT id, vector <-> %s::vector AS distance FROM {table} {where} ORDER BY vector <-> %s::vector LIMIT %s"
_MADE = """
    SELECT am.amname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
    WHERE i.indrelid = %s::regclass AND c.relname = %s AND i.indisvalid
"""


class PgvectorDatabase:
    """Vectors with their key (`id`) and the part of the database that they came with (`part`, as a rule a slide).

    Args:
        dsn: of the database, without a password, which PostgreSQL's clients take from PGPASSWORD or ~/.pgpass.
        kind: of pgvector's index, or `exact`.
        settings: of that kind.
        rows_per_batch: rows that are sent at once.
        build_memory_mib: that PostgreSQL may take to build the index.
    """

    name = "pgvector"
    most_answers: int | None = None

    def __init__(
        self, dsn: str, kind: str, settings: Mapping[str, int], rows_per_batch: int, build_memory_mib: int
    ) -> None:
        self.address = dsn
        self.kind = kind
        self.settings = dict(settings)
        self.rows_per_batch = rows_per_batch
        self.build_memory_mib = build_memory_mib
        self._table = ""

    @cached_property
    def _connection(self) -> Any:
        psycopg = optional_package("psycopg", self.name)
        with _one_line(f"no PostgreSQL answers at {self.address!r}; start it, or name another by index.dsn="):
            connection = psycopg.connect(self.address, autocommit=True, connect_timeout=_SECONDS_TO_CONNECT)
        with _one_line("the extension vector is missing; install pgvector in the database as its owner"):
            connection.execute("SET client_min_messages = warning")
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        return connection

    def create(self, dim: int) -> str:
        """Make a new table, named by the time."""
        check_dim(self.kind, dim)
        self._table = f"histoseek_{datetime.now(UTC):%Y%m%d_%H%M%S}_{uuid.uuid4().hex[:8]}"
        self._run(f"CREATE TABLE {self._table} (id bigint PRIMARY KEY, part bigint, vector vector({dim}))")
        self._run(f"COMMENT ON TABLE {self._table} IS '{_COMMENT}'")
        return self._table

    def open(self, table: str) -> None:
        """Open a table for searching."""
        self._table = table
        if self._value("SELECT obj_description(to_regclass(%s))", table) != _COMMENT:
            raise IndexMismatch(
                f"index pgvector: {self.address!r} has no table {table}, which this index was built with; start the "
                "database, name its address by index.dsn=, or build the index again with build_index.py"
            )

    def put(
        self, keys: Int64[np.ndarray, " row"], parts: Int64[np.ndarray, " row"], vectors: Float32[np.ndarray, "row dim"]
    ) -> None:
        """Write rows, over those that have these keys."""
        with _one_line(f"rows could not be written to {self._table}"), self._connection.transaction():
            self.delete(int(keys[0]), int(keys[-1]) + 1)
            copying = f"COPY {self._table} (id, part, vector) FROM STDIN WITH (FORMAT BINARY)"
            with self._connection.cursor().copy(copying) as copy:
                copy.set_types(["int8", "int8", "bytea"])
                for key, part, vector in zip(keys.tolist(), parts.tolist(), vectors, strict=True):
                    copy.write_row((key, part, _binary(vector)))

    def delete(self, first: int, end: int | None = None) -> None:
        """Delete the keys from `first` until before `end`."""
        self._run(f"DELETE FROM {self._table} WHERE id >= %s AND (%s::bigint IS NULL OR id < %s)", first, end, end)

    def count(self, end: int | None = None) -> int:
        """How many keys there are before `end`."""
        return int(self._value(f"SELECT count(*) FROM {self._table} WHERE %s::bigint IS NULL OR id < %s", end, end))

    def finish(self) -> dict[str, Any]:
        """Have the index built of all rows, and check that it was."""
        if self.kind != "exact":
            self._run(f"SET maintenance_work_mem = '{self.build_memory_mib}MB'")
            self._run(making(self.kind, self.settings, self._table))
            built = self._value(_MADE, self._table, f"{self._table}_vector")
            if built != self.kind:
                raise ConfigError(
                    f"index pgvector: PostgreSQL has built {built}, expected {self.kind}; look at its log"
                )
        self._run(f"ANALYZE {self._table}")
        return {"kind": self.kind, **self.settings}

    def nearest(self, vectors: Float32[np.ndarray, "query dim"], k: int, choice: Choice | None) -> Nearest:
        """Squared distances and keys of the `k` nearest allowed rows of each query."""
        distances = np.full((len(vectors), k), np.inf, np.float32)
        keys = np.full((len(vectors), k), -1, np.int64)
        where, ranges = ("", ()) if choice is None else _filter(choice)
        statement = _SOURCE.format(table=self._table, where=where)
        with _one_line(f"{self._table} could not be searched"), self._connection.transaction():
            for name, value in searching(self.kind, self.settings, k).items():
                self._run(f"SET LOCAL {name} = {value}")
            for query, vector in enumerate(vectors):
                text = _text(vector)
                found = self._connection.execute(statement, (text, *ranges, text, k)).fetchall()
                keys[query, : len(found)] = [key for key, _ in found]
                distances[query, : len(found)] = [distance**2 for _, distance in found]
        return distances, keys

    def drop(self, table: str) -> None:
        """Delete a table."""
        self._run(f"DROP TABLE {table}")

    def _run(self, statement: str, *values: Any) -> Any:
        with _one_line(f"{self._table} could not be used"):
            return self._connection.execute(statement, values)

    def _value(self, statement: str, *values: Any) -> Any:
        row = self._run(statement, *values).fetchone()
        return None if row is None else row[0]


def _filter(choice: Choice) -> tuple[str, tuple[str, ...]]:
    """A multirange of keys, which PostgreSQL looks up by halving: those that are allowed, or the others, if fewer."""
    if len(choice.allowed) <= len(choice.forbidden):
        return "WHERE id <@ %s::int8multirange", (_multirange(choice.allowed),)
    return "WHERE NOT id <@ %s::int8multirange", (_multirange(choice.forbidden),)


def _multirange(runs: Runs) -> str:
    return "{" + ",".join(f"[{first},{end})" for first, end, _ in runs.tolist()) + "}"


def _text(vector: Float32[np.ndarray, " dim"]) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def _binary(vector: Float32[np.ndarray, " dim"]) -> bytes:
    """As pgvector sends it: the dimension, two unused bytes, and floats, most significant byte first."""
    return struct.pack(">hh", len(vector), 0) + vector.astype(">f4").tobytes()


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Errors of PostgreSQL in the block become one line that begins with `what`."""
    try:
        yield
    except optional_package("psycopg", "pgvector").Error as error:
        raise ConfigError(f"index pgvector: {what} (PostgreSQL says: {' '.join(str(error).split())})") from None
