"""Changes that cannot be made: one line says why, and the old index is as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError, FeatureFileError, HistoseekError, IncompatibleParts, IndexMismatch
from src.index.engine import RetrievalEngine
from src.index.indexes.flat import Flat
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File
from src.interfaces import Codes, SlideFeatures
from tests.index.databases import MemoryStore, random_database, slide_of
from tests.index.test_every_index import codes_for
from tests.index.test_living import contents, living_engine
from tests.index.test_removal import assert_same, every_kind, filled


def files_engine() -> RetrievalEngine:
    return living_engine(Rerank(Flat("l2"), 300, Float16File()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    engine = files_engine()
    engine.build(random_database(0, [9, 12, 7]))
    engine.save(tmp_path / "index")
    return tmp_path / "index"


class BrokenStore(MemoryStore):
    """The file of its last slide was truncated."""

    def load(self, slide_id: str) -> SlideFeatures:
        if slide_id == self.slides[-1].slide_id:
            raise FeatureFileError(f"{slide_id}: its file is truncated; extract it again")
        return super().load(slide_id)


def broken(value: float) -> np.ndarray:
    features = np.random.default_rng(0).normal(size=(4, 32))
    features[2, 5] = value
    return features


GOOD = slide_of("new", broken(0.5))
WRONG: dict[str, tuple[MemoryStore, type[HistoseekError], str]] = {
    "nan": (MemoryStore([GOOD, slide_of("bad", broken(np.nan))]), FeatureFileError, "bad: .* not finite"),
    "infinite": (MemoryStore([GOOD, slide_of("bad", broken(np.inf))]), FeatureFileError, "bad: .* not finite"),
    "twice": (MemoryStore([GOOD, GOOD]), ConfigError, "new would be in the index twice"),
    "truncated": (BrokenStore([GOOD, slide_of("bad", broken(0))]), FeatureFileError, "bad: its file is truncated"),
    "dimension": (MemoryStore([slide_of("bad", np.ones((3, 8)))]), IndexMismatch, "features have 8 columns"),
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_slides_that_cannot_be_added_leave_the_old_index(kind: str, folder: Path) -> None:
    before, engine = contents(folder), files_engine()
    engine.load(folder)
    store, error, said = WRONG[kind]
    with pytest.raises(error, match=said) as raised:
        engine.add(store)
    assert "\n" not in str(raised.value)
    assert contents(folder) == before
    files_engine().load(folder)


def test_indexes_that_share_a_slide_are_not_joined() -> None:
    engine, other = living_engine(), living_engine()
    engine.build(random_database(0, [9, 12, 7]))
    other.build(random_database(1, [5]))
    with pytest.raises(ConfigError, match="s000 would be in the index twice"):
        engine.join([other])
    assert len(engine.index) == len(engine.rows) == 28


@every_kind
def test_codes_that_are_not_finite_change_no_index(name: str) -> None:
    index = filled(name)
    if index.accepts != "float":
        pytest.skip("barcodes are finite")
    queries, bad = codes_for(index, 1, 5), codes_for(index, 2, 8)
    bad.values[3, 7] = np.nan
    before = index.search(queries, 9)
    with pytest.raises(ConfigError, match="1 of 8 codes hold NaN or infinity"):
        index.add(bad)
    assert len(index) == 90
    assert_same(index.search(queries, 9), before)


def test_vectors_of_another_length_change_no_cosine_index() -> None:
    index = Flat("cosine")
    index.add(Codes(np.eye(4, dtype=np.float32)))
    with pytest.raises(IncompatibleParts, match="length 1, 4 of 4 have another"):
        index.add(Codes(2 * np.eye(4, dtype=np.float32)))
    assert len(index) == 4


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, change, Path.unlink])
@pytest.mark.parametrize("name", ["index.vectors", "background.npy", "background_slides.npy"])
def test_no_change_is_made_to_an_index_whose_files_changed(
    name: str, damage: Callable[[Path], None], folder: Path
) -> None:
    damage(folder / name)
    with pytest.raises(IndexMismatch, match=name) as raised:
        files_engine().load(folder)
    assert "\n" not in str(raised.value)
