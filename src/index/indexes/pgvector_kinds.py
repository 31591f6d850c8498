"""The indexes that pgvector builds, in SQL: how each is made, and what is set for a search."""

from __future__ import annotations

from collections.abc import Mapping

from src.errors import IncompatibleParts
from src.index.indexes.database_settings import Range

RANGES: dict[str, dict[str, Range]] = {
    "hnsw": {"m": (2, 100), "ef_construction": (4, 1000), "ef_search": (1, 1000), "max_scan_rows": (1, 1 << 30)},
    "ivfflat": {"lists": (1, 32768), "probes": (1, 32768)},
    "exact": {},
}
_MOST_DIMENSIONS = 2000


def check_dim(kind: str, dim: int) -> None:
    """Check that a kind can take codes of a dimension.

    Raises:
        IncompatibleParts: it cannot.
    """
    if kind != "exact" and dim > _MOST_DIMENSIONS:
        raise IncompatibleParts(
            f"index pgvector: {kind} takes at most {_MOST_DIMENSIONS} dimensions, the codes have {dim}; choose another "
            "code= or index.kind=exact"
        )


def making(kind: str, settings: Mapping[str, int], table: str) -> str:
    """The statement that builds the index of a table.

    >>> making("ivfflat", {"lists": 100, "probes": 10}, "rows")
    'CREATE INDEX IF NOT EXISTS rows_vector ON rows USING ivfflat (vector vector_l2_ops) WITH (lists = 100)'
    """
    of_building = {"hnsw": ("m", "ef_construction"), "ivfflat": ("lists",)}[kind]
    given = ", ".join(f"{name} = {settings[name]}" for name in of_building)
    return f"CREATE INDEX IF NOT EXISTS {table}_vector ON {table} USING {kind} (vector vector_l2_ops) WITH ({given})"


def searching(kind: str, settings: Mapping[str, int], k: int) -> dict[str, str | int]:
    """What is set for a search; a scan that a filter leaves without `k` rows goes on (pgvector 0.8).

    >>> searching("ivfflat", {"lists": 100, "probes": 10}, 5)
    {'ivfflat.probes': 10, 'ivfflat.iterative_scan': 'relaxed_order'}
    """
    if kind == "hnsw":
        breadth = min(max(settings["ef_search"], k), RANGES["hnsw"]["ef_search"][1])
        most = settings["max_scan_rows"]
        return {"hnsw.ef_search": breadth, "hnsw.iterative_scan": "strict_order", "hnsw.max_scan_tuples": most}
    if kind == "ivfflat":
        return {"ivfflat.probes": settings["probes"], "ivfflat.iterative_scan": "relaxed_order"}
    return {}
