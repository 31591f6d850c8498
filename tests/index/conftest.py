"""One faiss thread: on databases this small, threads that wait for each other cost more than they save."""

from __future__ import annotations

import faiss
import pytest


@pytest.fixture(autouse=True, scope="package")
def one_faiss_thread() -> None:
    faiss.omp_set_num_threads(1)
