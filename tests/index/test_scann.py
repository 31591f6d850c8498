from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from src.errors import ConfigError, IncompatibleParts, IndexMismatch
from src.index.indexes.finishing import Finishing
from src.index.indexes.flat import Flat
from src.index.indexes.scann_tree import ScannTree
from src.interfaces import Codes
from tests.index.databases import unit_vectors

needs_scann = pytest.mark.skipif(not find_spec("scann"), reason="no package scann")
METRICS = ("cosine", "l2")


def filled(metric: str, vectors: np.ndarray, n_leaves: int | None = None, n_leaves_to_search: int = 1000) -> ScannTree:
    index = ScannTree(metric, n_leaves, n_leaves_to_search, 200, 1)
    index.train(Codes(vectors))
    index.add(Codes(vectors))
    return index


@needs_scann
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 40, 400])
@pytest.mark.parametrize("n_leaves", [None, 1, 5])
def test_every_leaf_holds_together_what_an_exhaustive_search_finds(metric: str, n: int, n_leaves: int | None) -> None:
    vectors, queries = unit_vectors(0, n, 24), Codes(unit_vectors(1, 5, 24))
    index, exact = filled(metric, vectors, n_leaves), Flat("l2")
    assert isinstance(index, Finishing)
    exact.add(Codes(vectors))
    found, wanted = index.search(queries, n + 3), exact.search(queries, n + 3)
    np.testing.assert_array_equal(np.sort(found.rows), np.sort(wanted.rows))
    np.testing.assert_allclose(found.distances, wanted.distances, atol=1e-5)


@needs_scann
def test_fewer_leaves_find_fewer_rows_and_equal_rows_are_all_kept() -> None:
    vectors = np.tile(unit_vectors(0, 20, 16), (30, 1))
    index = filled("cosine", vectors, 20, n_leaves_to_search=1)
    rows = index.search(Codes(vectors[:20]), 600).rows
    assert ((rows >= 0).sum(axis=1) < 600).all()
    assert all(set(range(query, 600, 20)) <= set(found) for query, found in enumerate(rows))


@needs_scann
@pytest.mark.parametrize("metric", METRICS)
def test_rows_leave_and_come_after_loading(metric: str, tmp_path: Path) -> None:
    vectors = unit_vectors(0, 120, 16)
    filled(metric, vectors[:100]).save(tmp_path / "index.faiss")
    index = ScannTree(metric, None, 1000, 200, 1)
    index.load(tmp_path / "index.faiss")
    assert [path.name for path in tmp_path.iterdir()] == ["index.faiss"]
    is_removed = np.arange(100) % 3 == 0
    index.remove(is_removed)
    index.add(Codes(vectors[100:]))
    left = np.concatenate([vectors[:100][~is_removed], vectors[100:]])
    np.testing.assert_array_equal(index.codes().values, left)
    assert (index.search(Codes(left), 1).rows[:, 0] == np.arange(len(left))).all()
    index.remove(np.ones(len(left), dtype=bool))
    with pytest.raises(ConfigError, match="is empty"):
        index.search(Codes(left), 1)


@needs_scann
def test_a_file_that_would_be_unpickled_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    filled("l2", unit_vectors(0, 40, 8)).save(path)
    with ZipFile(path, "a") as archive:
        archive.writestr("scann_docids.pkl", b"")
    with pytest.raises(IndexMismatch, match="holds files that are not of an index"):
        ScannTree("l2", None, 20, 200, 1).load(path)
    path.write_bytes(b"no archive")
    with pytest.raises(IndexMismatch, match="not an index of ScaNN"):
        ScannTree("l2", None, 20, 200, 1).load(path)


def test_settings_and_vectors_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="'dot', expected cosine or l2"):
        ScannTree("dot", None, 20, 200, 1)
    with pytest.raises(ConfigError, match="n_leaves is 0, expected at least 1"):
        ScannTree("l2", 0, 20, 200, 1)
    with pytest.raises(IncompatibleParts, match="index scann: cosine takes vectors of length 1"):
        ScannTree("cosine", None, 20, 200, 1).add(Codes(np.ones((3, 4), np.float32)))
