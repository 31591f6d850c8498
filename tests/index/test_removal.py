"""Rows leave every index, found by globbing, without a rebuild from features and without a trace."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import ConfigError
from src.index.indexes.auto import Auto
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.binary_ivf import BinaryIvf
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw import Hnsw
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.indexes.itq_lsh import ItqLsh
from src.index.indexes.ivf import Ivf
from src.index.indexes.removal import remove_rows
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File, Sq8InMemory
from src.index.indexes.shards import Shards
from src.interfaces import Codes, Index, Neighbours
from tests.index.databases import unit_vectors
from tests.index.test_every_combination import OPTIONS, chosen, part
from tests.index.test_every_index import NAMES, codes_for

N = 90
IS_REMOVED = np.random.default_rng(1).random(N) < 0.4
LISTS: dict[str, Any] = {"nlist": 3, "nprobe": 3, "M": 8, "efSearch": 16, "efConstruction": 40}


def ivf(code: str, rotation: str = "none") -> Ivf:
    return Ivf(code, rotation, **LISTS)


SMALL: dict[str, Callable[[], Index]] = {
    "several_lists": lambda: HnswIvfPq(8, 8, 3, 4, 3, 16, 40),
    "padded": lambda: HnswIvfPq(8, 5, 3, 4, 3, 16, 40),
    "sq8": lambda: ivf("SQ8", "random"),
    "pq_blocks": lambda: ivf("PQ8x4fs"),
    "odd_blocks": lambda: ivf("PQ5x4fs"),
    "rabitq_blocks": lambda: ivf("RaBitQfs", "random"),
    "rabitq_of_more_bits": lambda: ivf("RaBitQfs4", "random"),
    "itq_lsh": lambda: ItqLsh(16),
    "bytes_in_a_graph": lambda: Hnsw("SQ8", 16, 256, 100),
    "binary_lists": lambda: BinaryIvf(3, 3, 8),
    "files_of_few_candidates": lambda: Rerank(ivf("PQ8x4fs"), 30, Float16File()),
    "bytes_of_few_candidates": lambda: Rerank(ivf("RaBitQfs", "random"), 30, Sq8InMemory()),
    "shards_of_lists": lambda: Shards(ivf("PQ8x4fs"), 25),
    "shards_of_files": lambda: Shards(Rerank(Flat("l2"), 50, Float16File()), 25),
    "shards_of_barcodes": lambda: Shards(BinaryFlat(), 25),
}
IN_A_DATABASE = ("milvus", "pgvector")
KINDS = {str({k: v for k, v in chosen("index", name).items() if type(v) is not int}): name for name in OPTIONS["index"]}
"""One YAML of those that differ in numbers only, by what they have in common."""

every_kind = pytest.mark.parametrize("name", [each for each in NAMES if each.values[0] in KINDS.values()])
every_index = pytest.mark.parametrize("name", [*every_kind.args[1], *SMALL])


def empty(name: str) -> Index:
    index: Index = SMALL[name]() if name in SMALL else part("index", name)
    return index


@cache
def fitted(name: str) -> Index:
    index = empty(name)
    index.train(codes_for(index, 7, 150))
    return index


def trained(name: str) -> Index:
    """Learned rotations take seconds; what is fitted else takes less than faiss's binary indexes need to be copied."""
    return copy.deepcopy(fitted(name)) if "opq" in name else fitted.__wrapped__(name)


def filled(name: str, codes: Codes | None = None) -> Index:
    index = trained(name)
    codes = codes_for(index, 0, N) if codes is None else codes
    for rows in np.split(np.arange(N), [20, 70]):
        index.add(codes.take(rows))
    return index


def written(index: Index, folder: Path) -> dict[str, bytes]:
    """All files but those that say how long a search took."""
    folder.mkdir()
    index.save(folder / "index.faiss")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".auto"}


def rounding(name: str) -> float:
    """Of distances: some indexes compute several at a time, or one, and databases have ways of their own."""
    return 1e-6 if name in ("hnsw", "scann", *IN_A_DATABASE) else 0


def assert_same(found: Neighbours, expected: Neighbours, tolerance: float = 0) -> None:
    """At the last distance any of the rows that share it may be answered."""
    np.testing.assert_allclose(found.distances, expected.distances, rtol=tolerance)
    is_inside = expected.distances < expected.distances[:, -1:] - tolerance
    np.testing.assert_array_equal(found.rows[is_inside], expected.rows[is_inside])


@every_index
def test_rows_that_stay_are_found_as_if_the_others_were_excluded(name: str, tmp_path: Path) -> None:
    index, queries = filled(name), codes_for(empty(name), 1, 9)
    before = index.search(queries, 20, IS_REMOVED)
    remove_rows(index, IS_REMOVED)
    new_rows = np.append(np.cumsum(~IS_REMOVED) - 1, -1)
    expected = Neighbours(before.distances, new_rows[before.rows])
    assert len(index) == (~IS_REMOVED).sum()
    assert_same(index.search(queries, 20), expected, rounding(name))
    index.save(tmp_path / "index.faiss")
    loaded = empty(name)
    loaded.load(tmp_path / "index.faiss")
    assert_same(loaded.search(queries, 20), expected, rounding(name))


@every_index
def test_what_is_written_does_not_depend_on_the_rows_that_left(name: str, tmp_path: Path) -> None:
    if name in IN_A_DATABASE:
        pytest.skip("its rows are in no file of its own")
    files = []
    for seed in (2, 3):
        codes = codes_for(empty(name), 0, N)
        codes.values[IS_REMOVED] = codes_for(empty(name), seed, N).values[IS_REMOVED]
        index = filled(name, codes)
        remove_rows(index, IS_REMOVED)
        files.append(written(index, tmp_path / str(seed)))
    assert files[0] == files[1]


@every_index
@pytest.mark.parametrize("is_loaded", [False, True])
def test_rows_come_after_rows_have_left(name: str, is_loaded: bool, tmp_path: Path) -> None:
    index, new = filled(name), codes_for(empty(name), 5, 60)
    remove_rows(index, IS_REMOVED)
    if is_loaded:
        index.save(tmp_path / "index.faiss")
        index = empty(name)
        index.load(tmp_path / "index.faiss")
    index.add(new)
    direct = trained(name)
    direct.add(codes_for(index, 0, N).take(np.flatnonzero(~IS_REMOVED)))
    direct.add(new)
    queries = codes_for(index, 1, 9)
    assert len(index) == len(direct)
    np.testing.assert_allclose(index.search(queries, 20).distances, direct.search(queries, 20).distances, atol=1e-5)


@every_index
def test_the_last_row_can_leave(name: str) -> None:
    index = filled(name)
    remove_rows(index, np.ones(N, dtype=bool))
    assert len(index) == 0
    with pytest.raises(ConfigError, match="is empty"):
        index.search(codes_for(index, 1, 2), 3)
    index.add(codes_for(index, 5, 40))
    assert (index.search(codes_for(index, 5, 40), 1).rows[:, 0] == np.arange(40)).mean() > 0.7


def test_rows_leave_an_index_that_has_not_chosen_yet() -> None:
    settings: dict[str, Any] = {"bytes_per_vector": None, "latency_ms": None, "k": 5, "n_queries": 20, "seed": 0}
    vectors = Codes(unit_vectors(0, N, 16))
    for exact_up_to in (N, 0):
        early, late = (Auto(0.5, **settings, exact_up_to=exact_up_to) for _ in range(2))
        early.add(vectors)
        early.remove(IS_REMOVED)
        late.add(vectors.take(np.flatnonzero(~IS_REMOVED)))
        assert len(early) == len(late)
        assert_same(early.search(vectors, 5), late.search(vectors, 5))


def test_shards_that_lost_every_row_are_dropped() -> None:
    index = filled("shards_of_lists")
    assert [each["n_rows"] for each in index.describe()["shards"]] == [25, 25, 25, 15]
    remove_rows(index, (np.arange(N) >= 25) & (np.arange(N) < 80))
    assert [each["n_rows"] for each in index.describe()["shards"]] == [25, 10]
    index.add(codes_for(index, 5, 30))
    assert [each["n_rows"] for each in index.describe()["shards"]] == [25, 25, 15]
