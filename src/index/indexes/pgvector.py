"""PostgreSQL with the extension vector behind the slot of the index.

Source: pgvector 0.8, whose scans go on until a filter has let enough rows through.
"""

from __future__ import annotations

from collections.abc import Mapping

from src.index.indexes.checks import check_positive
from src.index.indexes.database_index import DatabaseIndex
from src.index.indexes.database_settings import settings_of
from src.index.indexes.pgvector_database import PgvectorDatabase
from src.index.indexes.pgvector_kinds import RANGES


class Pgvector(DatabaseIndex):
    """Rows in a table of PostgreSQL.

    Args:
        dsn: of the database, without a password, which PostgreSQL's clients take from PGPASSWORD or ~/.pgpass.
        kind: `hnsw`, `ivfflat`, or `exact` for none.
        settings: of each kind, by its name; those of `kind` are used.
        rows_per_batch: rows that are sent at once.
        build_memory_mib: that PostgreSQL may take to build the index; a graph that does not fit is built slowly.
    """

    def __init__(
        self,
        dsn: str,
        kind: str,
        settings: Mapping[str, Mapping[str, int]],
        rows_per_batch: int,
        build_memory_mib: int,
    ) -> None:
        check_positive("pgvector", rows_per_batch=rows_per_batch, build_memory_mib=build_memory_mib)
        chosen = settings_of("pgvector", kind, settings, RANGES)
        super().__init__(PgvectorDatabase(dsn, kind, chosen, rows_per_batch, build_memory_mib))
