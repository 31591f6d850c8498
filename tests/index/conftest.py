"""One faiss thread: on databases this small, threads that wait for each other cost more than they save."""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import pytest

from tests.index.postgres import stop_postgres


@pytest.fixture(autouse=True, scope="package")
def one_faiss_thread() -> None:
    faiss.omp_set_num_threads(1)


@pytest.fixture(autouse=True, scope="package")
def no_postgres_stays() -> Iterator[None]:
    """What a test of `index=pgvector` has started is stopped."""
    yield
    stop_postgres()
