"""A collection of Milvus, as an index uses it: made, filled, indexed, searched."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from src.data.progress import progress_bar
from src.errors import ConfigError, IndexMismatch
from src.index.indexes.database_index import Nearest
from src.index.indexes.milvus_client import connected, is_local, one_line
from src.index.indexes.milvus_filter import filter_of
from src.index.indexes.milvus_kinds import build_settings, check_dim, check_lists, check_local, search_settings
from src.index.indexes.milvus_local import check_built, drop_local
from src.index.indexes.optional import optional_package
from src.index.indexes.row_keys import Choice

_log = logging.getLogger(__name__)

_PREFIX = "histoseek_"
_PROPERTY = "histoseek.collection"
_FIELD = "vector"
_MOST_FOUND = 1 << 18  # answers of one call, which is 20 MB of Python objects
_FEWEST_INDEXED = 1024  # rows of a segment; Milvus scans smaller ones (rootCoord.minSegmentSizeToEnableIndex)
_SECONDS_BETWEEN_LOOKS = 1


@dataclass(frozen=True)
class _State:
    """How far the server's index is, in rows; segments that are too small for one are scanned."""

    kind: str
    n_rows: int
    n_indexed: int
    n_scanned: int
    n_waiting: int

    @property
    def percent(self) -> int:
        return 100 - 100 * min(self.n_waiting, self.n_rows) // max(self.n_rows, 1)


class MilvusDatabase:
    """Vectors with their key (`id`) and the part of the database that they came with (`part`, as a rule a slide).

    Args:
        uri: of a server, or a file of milvus-lite.
        token_variable: environment variable that holds `user:password` or a key.
        kind: of Milvus's index.
        settings: of that kind.
        rows_per_batch: rows that are sent at once.
        build_timeout_s: how long Milvus may take to build its index.
    """

    name = "milvus"
    most_answers: int | None = 16384

    def __init__(
        self,
        uri: str,
        token_variable: str,
        kind: str,
        settings: Mapping[str, int],
        rows_per_batch: int,
        build_timeout_s: int,
    ) -> None:
        check_lists(settings)
        self.address = uri
        self.token_variable = token_variable
        self.kind = kind
        self.settings = dict(settings)
        self.rows_per_batch = rows_per_batch
        self.build_timeout_s = build_timeout_s
        self._collection = ""

    @cached_property
    def _client(self) -> Any:
        return connected(self.address, self.token_variable)

    def create(self, dim: int) -> str:
        """Make a new collection, named by the time; others that are there already are counted in the log."""
        if is_local(self.address):
            check_local(self.kind)
        check_dim(self.kind, self.settings, dim)
        self._collection = f"{_PREFIX}{datetime.now(UTC):%Y%m%d_%H%M%S}_{uuid.uuid4().hex[:8]}"
        with one_line(f"no collection could be made at {self.address}"):
            self._report_others()
            properties = {_PROPERTY: self._collection}
            self._client.create_collection(self._collection, schema=_schema(self._client, dim), properties=properties)
        return self._collection

    def open(self, table: str) -> None:
        """Open a collection for searching."""
        self._collection = table
        with one_line(f"{table} of {self.address} cannot be opened"):
            if not self._client.has_collection(table):
                raise IndexMismatch(
                    f"index milvus: {self.address} has no collection {table}, which this index was built with; start "
                    "Milvus with its data, name its address by index.uri=, or build the index again with build_index.py"
                )
            found = self._client.describe_collection(table)["properties"].get(_PROPERTY)
            if found != table:
                raise IndexMismatch(
                    f"index milvus: {table} of {self.address} was made by someone else, its {_PROPERTY} is {found}; "
                    "build the index again with build_index.py"
                )
            self._client.load_collection(table)

    def put(
        self, keys: Int64[np.ndarray, " row"], parts: Int64[np.ndarray, " row"], vectors: Float32[np.ndarray, "row dim"]
    ) -> None:
        """Write rows, over those that have these keys."""
        columns = zip(keys.tolist(), parts.tolist(), vectors, strict=True)
        rows = [{"id": key, "part": part, _FIELD: vector} for key, part, vector in columns]
        with one_line(f"{len(rows)} rows could not be written to {self._collection}"):
            self._client.upsert(self._collection, rows)

    def delete(self, first: int, end: int | None = None) -> None:
        """Delete the keys from `first` until before `end`."""
        with one_line(f"rows of {self._collection} could not be deleted"):
            self._client.delete(self._collection, filter=_between(first, end))

    def count(self, end: int | None = None) -> int:
        """How many keys there are before `end`, after all that was written before."""
        with one_line(f"the rows of {self._collection} could not be counted"):
            found = self._client.query(
                self._collection, _between(0, end), output_fields=["count(*)"], consistency_level="Strong"
            )
        return int(found[0]["count(*)"])

    def finish(self) -> dict[str, Any]:
        """Have the index built of all rows and loaded, and check that this is what was done."""
        with one_line(f"{self.kind} of {self._collection} could not be built"):
            self._client.flush(self._collection)
            self._index()
            self._client.load_collection(self._collection)
            if is_local(self.address):
                check_built(self.address, self._collection, _FIELD, self.kind)
                return {"kind": self.kind, **build_settings(self.kind, self.settings)}
            return {**self._loaded(), **build_settings(self.kind, self.settings)}

    def nearest(self, vectors: Float32[np.ndarray, "query dim"], k: int, choice: Choice | None) -> Nearest:
        """Squared distances and keys of the `k` nearest allowed rows of each query."""
        distances = np.full((len(vectors), k), np.inf, np.float32)
        keys = np.full((len(vectors), k), -1, np.int64)
        asked = "" if choice is None else filter_of(choice)
        step = max(1, _MOST_FOUND // k)
        with one_line(f"{self._collection} could not be searched"):
            for start in range(0, len(vectors), step):
                for query, hits in enumerate(self._hits(vectors[start : start + step], k, asked), start):
                    distances[query, : len(hits)] = [hit["distance"] for hit in hits]
                    keys[query, : len(hits)] = [hit["id"] for hit in hits]
        return distances, keys

    def drop(self, table: str) -> None:
        """Delete a collection."""
        if is_local(self.address):
            drop_local(self.address, table)
            return
        with one_line(f"{table} could not be deleted"):
            self._client.drop_collection(table)

    def _hits(self, vectors: Float32[np.ndarray, "query dim"], k: int, asked: str) -> Any:
        return self._client.search(
            self._collection,
            list(vectors),
            filter=asked,
            limit=k,
            output_fields=["id"],
            anns_field=_FIELD,
            search_params={"metric_type": "L2", "params": search_settings(self.kind, self.settings, k)},
            consistency_level="Session",
        )

    def _index(self) -> None:
        """Ask for the index; asked again after more rows, a server builds it at once instead of after a minute."""
        if is_local(self.address) and self._client.list_indexes(self._collection):
            self._client.release_collection(self._collection)  # loaded again, it builds what is missing
            return
        wanted = self._client.prepare_index_params()
        build = build_settings(self.kind, self.settings)
        wanted.add_index(_FIELD, index_name=_FIELD, index_type=self.kind, metric_type="L2", params=build)
        self._client.create_index(self._collection, wanted, sync=False)

    def _loaded(self) -> dict[str, Any]:
        """What the server has loaded to search with, once that is all that it will build.

        Raises:
            ConfigError: not all rows in time.
        """
        end = time.monotonic() + self.build_timeout_s
        shown = 0
        with progress_bar(f"index, {self.kind}, percent", 100) as step:
            while True:
                built = self._state()
                if not built.n_waiting:
                    return {"kind": built.kind, "rows_indexed": built.n_indexed, "rows_scanned": built.n_scanned}
                if time.monotonic() > end:
                    raise ConfigError(
                        f"index milvus: {built.n_waiting} rows are not in Milvus's {self.kind} after "
                        f"{self.build_timeout_s} s; look at its log, or allow more by index.build_timeout_s="
                    )
                for _ in range(built.percent - shown):
                    step()
                shown = max(shown, built.percent)
                time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _state(self) -> _State:
        described = self._client.describe_index(self._collection, _FIELD)
        segments = self._client.list_loaded_segments(self._collection)
        n_rows = int(described["total_rows"])
        n_indexed = sum(segment.num_rows for segment in segments if segment.index_name)
        small = [segment.num_rows for segment in segments if not segment.index_name]
        n_scanned = sum(n for n in small if n < _FEWEST_INDEXED)
        n_waiting = max(int(described["pending_index_rows"]), n_rows - n_indexed - n_scanned)
        return _State(described["index_type"], n_rows, n_indexed, n_scanned, n_waiting)

    def _report_others(self) -> None:
        others = [name for name in self._client.list_collections() if name.startswith(_PREFIX)]
        if others:
            _log.info(
                "index milvus: %s has %d collections of other indexes, from %s to %s; drop those whose folder is gone "
                "(its index.faiss names its own)",
                *(self.address, len(others), min(others), max(others)),
            )


def _between(first: int, end: int | None) -> str:
    return f"id >= {first}" if end is None else f"id >= {first} and id < {end}"


def _schema(client: Any, dim: int) -> Any:
    types = optional_package("pymilvus", "milvus").DataType
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", types.INT64, is_primary=True)
    schema.add_field("part", types.INT64)
    schema.add_field(_FIELD, types.FLOAT_VECTOR, dim=dim)
    return schema
