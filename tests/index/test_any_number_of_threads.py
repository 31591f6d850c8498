"""The same mosaics, codes, index and rankings, byte by byte, whatever the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import pytest
from threadpoolctl import threadpool_limits

from src.interfaces import Codes, Index, Ranking
from tests.index.databases import random_database, unit_vectors
from tests.index.test_every_combination import part
from tests.index.test_every_engine import DIM, built, every_engine, query_of


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    with threadpool_limits(count):
        yield
    faiss.omp_set_num_threads(before)


def run(name: str, folder: Path, n_threads: int) -> tuple[dict[str, bytes], bytes, Ranking]:
    """The files of the index folder, a query's codes, and its ranking."""
    with threads(n_threads):
        engine = built(name, random_database(0, [60] * 9, DIM))
        engine.save(folder)
        query = query_of(0)
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        return files, engine.query_codes(query).values.tobytes(), engine.search(query, 5)


@every_engine
@pytest.mark.parametrize("n_threads", [2, 5])
def test_engine_is_the_same_with_any_number_of_threads(name: str, n_threads: int, tmp_path: Path) -> None:
    files, codes, ranking = run(name, tmp_path / "one", 1)
    other_files, other_codes, other_ranking = run(name, tmp_path / "several", n_threads)
    assert len(files) >= 3
    assert other_files == files
    assert other_codes == codes
    assert other_ranking == ranking


@pytest.mark.parametrize("option", ["itq_lsh_128", "hnsw_ivfpq_m8_nlist512"])
def test_index_is_fitted_the_same_with_any_number_of_threads(option: str, tmp_path: Path) -> None:
    codes = Codes(unit_vectors(0, 3000, 256))
    for n_threads in (1, 4):
        index: Index = part("index", option)
        with threads(n_threads):
            index.train(codes)
            index.add(codes)
            index.save(tmp_path / str(n_threads))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "4").read_bytes()
