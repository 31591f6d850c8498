"""The inside of a local file: what milvus-lite has really built, whatever was asked for and `describe_index` says.

Source: milvus-lite 3.2, `index/factory.py` and `engine/collection.py`. It builds one index per segment in the
background, and where that fails it writes a line to its log and scans the segment. The indexes that a search will use
are attached to the segments in memory, in this process, which is the only one that can have the file open.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.errors import ConfigError
from src.index.indexes.optional import optional_package

# Of the classes in milvus_lite/index, as Milvus names the kinds.
_KIND_OF = {
    "BruteForceIndex": "FLAT",
    "FaissHnswIndex": "HNSW",
    "FaissIvfFlatIndex": "IVF_FLAT",
    "FaissIvfSq8Index": "IVF_SQ8",
}
_BUILT_FOR = {"AUTOINDEX": "HNSW"}


def check_built(uri: str, collection: str, field: str, kind: str) -> None:
    """Check that every segment has an index of a kind.

    Raises:
        ConfigError: one has none, or another.
    """
    expected = _BUILT_FOR.get(kind, kind)
    built = [_kind_of(segment.indexes.get(field)) for segment in _segments(uri, collection)]
    others = [other for other in built if other != expected]
    if others:
        raise ConfigError(
            f"index milvus: milvus-lite was asked for {expected}, but has built {others[0]} for {len(others)} of "
            f"{len(built)} segments; choose another index.kind=, or a server by index.uri=http://HOST:19530"
        )


def drop_local(uri: str, collection: str) -> None:
    """Delete a collection, also while the process ends, when milvus-lite answers no client any more."""
    _database(uri).drop_collection(collection)


def _segments(uri: str, collection: str) -> list[Any]:
    return [
        segment for segment in _database(uri).get_collection(collection)._segment_cache.values() if segment.num_rows
    ]


def _database(uri: str) -> Any:
    manager = optional_package("milvus_lite.server_manager", "milvus").server_manager_instance
    return manager._servers[str(Path(uri).absolute())][1]


def _kind_of(index: Any) -> str:
    return "nothing" if index is None else _KIND_OF.get(type(index).__name__, type(index).__name__)
