from __future__ import annotations

from pathlib import Path

import pytest

from src.index.engine import RetrievalEngine
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.interfaces import Index, SlideFeatures
from src.runs.resumable_build import build_resumably, forget_checkpoint
from tests.index.databases import MemoryStore, random_database
from tests.index.test_every_engine import built, every_engine, make
from tests.index.test_living import living_engine

SIZES = [9, 12, 7, 10, 8, 11, 9]


class KilledStore(MemoryStore):
    """Its fifth slide cannot be read while the database is filled."""

    def load(self, slide_id: str) -> SlideFeatures:
        if slide_id == "s004" and self.n_loaded >= 2 * len(self.slides):  # the sample looks twice
            raise KeyboardInterrupt
        self.n_loaded += 1
        return super().load(slide_id)

    n_loaded = 0


def index_of(kind: str) -> Index:
    return Flat("cosine") if kind == "flat" else HnswIvfPq(8, 8, 3, 4, 3, 16, 40)


def files(engine: RetrievalEngine, folder: Path) -> dict[str, bytes]:
    engine.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["flat", "hnsw_ivfpq"])
def test_a_killed_build_goes_on_and_gives_the_same_index(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, folder = random_database(0, SIZES), tmp_path / "index"
    undisturbed = living_engine(index_of(kind))
    undisturbed.build(store)
    with pytest.raises(KeyboardInterrupt):
        build_resumably(living_engine(index_of(kind)), KilledStore(store.slides), folder, "key", 2)
    resumed = living_engine(index_of(kind))
    with caplog.at_level("INFO"):
        build_resumably(resumed, store, folder, "key", 2)
    assert "goes on after 4 slides" in caplog.text
    assert files(resumed, folder) == files(undisturbed, tmp_path / "other")
    forget_checkpoint(folder)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["index", "other"]


def test_another_build_does_not_go_on_from_there(tmp_path: Path) -> None:
    store, folder = random_database(0, SIZES), tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        build_resumably(living_engine(), KilledStore(store.slides), folder, "key", 2)
    other = living_engine()
    build_resumably(other, random_database(1, SIZES), folder, "another key", 2)
    expected = living_engine()
    expected.build(random_database(1, SIZES))
    assert files(other, folder) == files(expected, tmp_path / "other")


@every_engine
def test_checkpoints_change_no_index(name: str, tmp_path: Path) -> None:
    store, engine = random_database(2, SIZES), make(name)
    build_resumably(engine, store, tmp_path / "index", "key", 3)
    assert files(engine, tmp_path / "index") == files(built(name, store), tmp_path / "other")
