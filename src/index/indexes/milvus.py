"""Milvus behind the slot of the index: a local file (milvus-lite) to try it, a server or a cluster by its URI.

Source: Wang et al., "Milvus: a purpose-built vector data management system", SIGMOD 2021; its client pymilvus. Excluded
rows are left out by Milvus inside of its search, by a filter.
"""

from __future__ import annotations

from collections.abc import Mapping

from src.index.indexes.checks import check_positive
from src.index.indexes.database_index import DatabaseIndex
from src.index.indexes.database_settings import settings_of
from src.index.indexes.milvus_database import MilvusDatabase
from src.index.indexes.milvus_kinds import RANGES


class Milvus(DatabaseIndex):
    """Rows in a collection of Milvus.

    Args:
        uri: `http://HOST:19530` of a server or cluster, or a file that ends in .db.
        token_variable: environment variable that holds `user:password` or a key, where the server wants one.
        kind: of Milvus's index: HNSW, IVF_FLAT, IVF_SQ8, IVF_PQ, SCANN, DISKANN, FLAT or AUTOINDEX.
        settings: of each kind, by its name; those of `kind` are used.
        rows_per_batch: rows that are sent at once.
        build_timeout_s: how long a server may take to build the index.
    """

    def __init__(
        self,
        uri: str,
        token_variable: str,
        kind: str,
        settings: Mapping[str, Mapping[str, int]],
        rows_per_batch: int,
        build_timeout_s: int,
    ) -> None:
        check_positive("milvus", rows_per_batch=rows_per_batch, build_timeout_s=build_timeout_s)
        chosen = settings_of("milvus", kind, settings, RANGES)
        super().__init__(MilvusDatabase(uri, token_variable, kind, chosen, rows_per_batch, build_timeout_s))
