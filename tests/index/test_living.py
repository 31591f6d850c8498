from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.errors import ConfigError, IndexMismatch
from src.index.background import Background
from src.index.codes.l2 import L2
from src.index.engine import RetrievalEngine
from src.index.folder import open_folder
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.flat import Flat
from src.index.indexes.guided import Guided
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.nearest_patch import NearestPatch
from src.index.removed_slides import codes_left
from src.index.slide_reports import SlideReports, joined_reports
from src.interfaces import Codes, Index
from src.models.predicted import Predicted
from src.runs.index_config import is_index
from tests.index.databases import MemoryStore, random_database
from tests.index.test_engine import SAMPLE
from tests.index.test_every_engine import DIM, LABELS, built, every_engine, make, query_of

SIZES = [9, 12, 7, 10, 8, 11, 9]


def without(store: MemoryStore, *slide_ids: str) -> MemoryStore:
    return MemoryStore([slide for slide in store.slides if slide.slide_id not in slide_ids])


def is_exact(index: Index) -> bool:
    return isinstance(index, Flat | BinaryFlat | Guided)


@every_engine
def test_removed_slides_are_as_if_they_had_never_been_added(name: str, tmp_path: Path) -> None:
    store = random_database(3, SIZES, DIM)
    engine, loaded = built(name, store), make(name)
    if not is_exact(engine.index):
        pytest.skip("fitted to the slides that it had")
    never = built(name, without(store, "s001", "s005"))
    engine.remove(["s001", "s005"])
    engine.save(tmp_path / "index")
    loaded.load(tmp_path / "index")
    for each in (engine, loaded):
        each.use_labels(LABELS)
        assert each.rows.slide_ids == never.rows.slide_ids
        np.testing.assert_array_equal(each.rows.slide_of_row, never.rows.slide_of_row)
        np.testing.assert_array_equal(each.rows.xy, never.rows.xy)
        assert each.search(query_of(3), 5) == never.search(query_of(3), 5)


@every_engine
def test_added_slides_are_found_as_if_they_had_been_there_from_the_start(name: str, tmp_path: Path) -> None:
    store = random_database(4, SIZES, DIM)
    engine = built(name, MemoryStore(store.slides[:4]))
    if not is_exact(engine.index):
        pytest.skip("fitted to the slides that it had")
    engine.save(tmp_path / "index")
    loaded = make(name)
    loaded.load(tmp_path / "index")
    assert loaded.add(store) == ("s004", "s005", "s006")
    loaded.use_labels(LABELS)
    assert loaded.rows.slide_ids == tuple(store.slide_ids)
    assert loaded.search(query_of(4), 5) == built(name, store).search(query_of(4), 5)


def living_engine(index: Index | None = None) -> RetrievalEngine:
    background = Background(n=200, seed=3)
    index = Flat("cosine") if index is None else index  # an empty one counts as false
    return RetrievalEngine("e", AllPatches(), L2(), index, NearestPatch(3), SAMPLE, background)


def saved(folder: Path) -> RetrievalEngine:
    engine = living_engine()
    engine.build(random_database(0, SIZES))
    engine.save(folder)
    return engine


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, and the table once more without compression."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {**files, "rows": pd.read_parquet(folder / "rows.parquet").to_csv().encode()}


def test_nothing_of_a_removed_slide_is_left_in_any_file(tmp_path: Path) -> None:
    store, engine = random_database(0, SIZES), living_engine()
    engine.build(store)
    engine.save(tmp_path / "index")
    codes = L2().encode(store.load("s002").features).values
    traces = [b"s002", *(row.tobytes() for row in codes)]
    before = b"".join(contents(tmp_path / "index").values())
    assert all(trace in before for trace in traces)
    loaded = living_engine()
    loaded.load(tmp_path / "index")
    loaded.remove(["s002"])
    loaded.save(tmp_path / "index")
    after = contents(tmp_path / "index")
    assert {"background.npy", "background_slides.npy"} <= set(after)
    assert [(name, trace) for name, content in after.items() for trace in traces if trace in content] == []


def test_a_change_that_fails_between_its_steps_leaves_the_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "index")
    before = contents(tmp_path / "index")
    loaded = living_engine()
    loaded.load(tmp_path / "index")
    loaded.remove(["s002"])

    def fail(*_: object) -> None:
        raise OSError("disk full")

    for step in ("src.index.rows_table.RowsTable.write", "src.index.folder.write_json"):
        with monkeypatch.context() as patched:
            patched.setattr(step, fail)
            with pytest.raises(OSError, match="disk full"):
                loaded.save(tmp_path / "index")
        assert contents(tmp_path / "index") == before
    loaded.save(tmp_path / "index")
    assert "s002" not in open_folder(tmp_path / "index").table.rows.slide_ids


KILLED_CHANGE = """
import sys, time
from pathlib import Path
import src.index.folder
from tests.index.test_living import living_engine

def stop(*_):
    print("index and rows are written", flush=True)
    time.sleep(60)

src.index.folder.write_json = stop
engine = living_engine()
engine.load(Path(sys.argv[1]))
engine.remove(["s002"])
engine.save(Path(sys.argv[1]))
"""


def test_a_change_that_is_killed_leaves_the_old_index(tmp_path: Path) -> None:
    saved(tmp_path / "index")
    before = contents(tmp_path / "index")
    command = [sys.executable, "-c", KILLED_CHANGE, str(tmp_path / "index")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"index and rows are written\n"
        process.kill()
    assert contents(tmp_path / "index") == before
    loaded = living_engine()
    loaded.load(tmp_path / "index")
    loaded.remove(["s002"])
    loaded.save(tmp_path / "index")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["index"]


def test_who_reads_after_a_writer_was_killed_between_the_renames_finds_the_old_index(tmp_path: Path) -> None:
    saved(tmp_path / "index")
    (tmp_path / "index").rename(tmp_path / ".index.former")
    assert is_index(str(tmp_path / "index"))
    assert open_folder(tmp_path / "index").manifest["n_slides"] == len(SIZES)


def test_the_background_loses_the_codes_of_removed_slides_only() -> None:
    store, engine = random_database(0, SIZES), living_engine()
    engine.build(store)
    before = engine.records.background
    assert before is not None
    assert before.slides is not None
    engine.remove(["s000", "s003"])
    after = engine.records.background
    assert after is not None
    kept = ~np.isin(before.slides, [b"s000", b"s003"])
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_array_equal(after.codes.values, before.codes.values[kept])
    assert after.slides is not None
    np.testing.assert_array_equal(after.slides, before.slides[kept])


def test_what_cannot_be_removed_is_said_in_one_line_and_nothing_changes() -> None:
    engine = living_engine()
    engine.build(random_database(0, [2, 3]))
    with pytest.raises(ConfigError, match=r"s009 is no slide of the index; it has s000, s001, \.\.\.; nothing was"):
        engine.remove(["s000", "s009"])
    with pytest.raises(ConfigError, match="names all 2 slides of the index; delete its folder instead"):
        engine.remove(["s000", "s001"])
    assert len(engine.rows) == 5


def test_features_of_another_encoder_are_not_added() -> None:
    engine = living_engine()
    engine.build(random_database(0, [2, 3]))
    with pytest.raises(IndexMismatch, match="features have 8 columns, the index was built with 32"):
        engine.add(random_database(0, [2, 3, 4], dim=8))


def test_slides_that_are_there_are_not_added_twice() -> None:
    store, engine = random_database(0, SIZES), living_engine()
    engine.build(store)
    assert engine.add(store) == ()
    assert len(engine.rows) == sum(SIZES)


def test_summaries_go_with_their_slides() -> None:
    codes = Codes(np.arange(8, dtype=np.float32).reshape(4, 2), summaries=np.eye(3, dtype=np.float32))
    left = codes_left(codes, np.array([False, True, True, False]), np.array([False, True, False]))
    assert left.values.tolist() == [[0, 1], [6, 7]]
    assert left.summaries is not None
    assert left.summaries.tolist() == [[1, 0, 0], [0, 0, 1]]


class OneTarget(L2):
    """Says the first feature of a slide's first patch of a target."""

    def predictions(self, features: np.ndarray) -> tuple[Predicted, ...]:
        return (Predicted("KRAS_cls", "class", float(features[0, 0]), "2"),)


def test_what_a_head_says_comes_and_goes_with_the_slides(tmp_path: Path) -> None:
    store = random_database(0, SIZES)
    parts = (AllPatches(), OneTarget(), Flat("cosine"), NearestPatch(3), SAMPLE)
    engine, loaded = RetrievalEngine("e", *parts), RetrievalEngine("e", *parts[:2], Flat("cosine"), *parts[3:])
    engine.build(MemoryStore(store.slides[:4]))
    engine.save(tmp_path / "index")
    loaded.load(tmp_path / "index")
    loaded.remove(["s001"])
    loaded.add(MemoryStore(store.slides[4:]))
    expected = {slide.slide_id: float(slide.features[0, 0]) for slide in store.slides if slide.slide_id != "s001"}
    assert loaded.predictions.table["KRAS_cls"].to_dict() == pytest.approx(expected)


def test_reports_go_with_their_slides_and_are_joined() -> None:
    reports = SlideReports(pd.Series({"a": "one", "b": "two", "c": "one"}), np.eye(3, dtype=np.float32))
    left = reports.without(["b"])
    assert left.texts.to_dict() == {"a": "one", "c": "one"}
    assert left.vectors.tolist() == [[1, 0, 0], [0, 0, 1]]
    joined = joined_reports([SlideReports(), left, reports.without(["a", "c"])])
    assert joined.texts.to_dict() == {"a": "one", "c": "one", "b": "two"}
    assert joined.vectors.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert len(joined_reports([SlideReports()]).texts) == 0
