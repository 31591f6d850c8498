import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import ConfigError
from src.index.engine import RetrievalEngine
from src.index.folder import read_manifest
from src.index.indexes.auto import Auto
from src.index.indexes.exact_nearest import ExactNearest
from src.index.indexes.flat import Flat
from src.index.indexes.tuning import held_out, without
from src.index.training_sample import TrainingSample
from src.interfaces import Codes
from tests.index.databases import unit_vectors
from tests.index.test_every_combination import database, part

N, DIM = 1500, 32


def auto(exact_up_to: int = 0, **targets: Any) -> Auto:
    asked = {"recall": None, "bytes_per_vector": None, "latency_ms": None, **targets}
    return Auto(**asked, k=5, exact_up_to=exact_up_to, n_queries=15, seed=0)


def filled(index: Auto, vectors: np.ndarray | None = None) -> Auto:
    vectors = unit_vectors(0, N, DIM) if vectors is None else vectors
    index.train(Codes(vectors))
    for vectors_of_part in np.array_split(vectors, 3):
        index.add(Codes(vectors_of_part))
    return index


def test_few_rows_are_searched_exactly() -> None:
    queries = Codes(unit_vectors(1, 20, DIM))
    exact = Flat("l2")
    exact.add(Codes(unit_vectors(0, N, DIM)))
    index = filled(auto(exact_up_to=N, recall=0.99))
    assert index.describe()["code"] == "exact"
    assert np.array_equal(index.search(queries, 9).rows, exact.search(queries, 9).rows)


def test_many_rows_meet_the_recall_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        index = filled(auto(recall=0.9))
        found = index.describe()
    assert found["chosen"]["recall"] >= 0.9
    assert found["code"] == "RaBitQfs"
    recalls = [point["recall"] for point in found["curve"]]
    assert recalls == sorted(recalls)
    assert found["chosen"] in found["curve"]
    assert f"RaBitQfs of {N} rows, chosen of:" in caplog.text
    assert f"recall {found['chosen']['recall']:.3f}" in caplog.text
    exact = ExactNearest(unit_vectors(1, 60, DIM), 5)
    exact.add(unit_vectors(0, N, DIM))
    assert exact.recall(index.search(Codes(exact.queries), 5).rows) > 0.8


def test_smaller_codes_are_chosen_where_fewer_bytes_are_allowed() -> None:
    assert filled(auto(recall=0.5, bytes_per_vector=130.0)).describe()["code"] == "RaBitQfs"
    few = filled(auto(exact_up_to=N, recall=0.5, bytes_per_vector=30.0)).describe()
    assert few["code"] == "PQ8x4fs"
    assert few["targets"] == {"recall": 0.5, "bytes_per_vector": 30.0, "latency_ms": None}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"bytes_per_vector": 3.0}, r"bytes_per_vector is 3, but 1500 rows of 32 values take at least [\d.]+ each"),
        (
            {"recall": 1.0, "latency_ms": 1e-6},
            r"recall=1, latency_ms=1e-06 cannot be met .*: recall [\d.]+ in [\d.]+ ms",
        ),
    ],
)
def test_targets_that_cannot_be_met_are_refused_with_what_can(targets: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        filled(auto(**targets)).finish()
    assert "\n" not in str(raised.value)


def test_choice_and_curve_are_kept_with_the_index(tmp_path: Path) -> None:
    index = filled(auto(recall=0.9))
    index.save(tmp_path / "index.faiss")
    loaded = auto(recall=0.9)
    loaded.load(tmp_path / "index.faiss")
    queries = Codes(unit_vectors(1, 9, DIM))
    assert loaded.describe() == index.describe()
    assert np.array_equal(loaded.search(queries, 7).rows, index.search(queries, 7).rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.auto", "index.faiss", "index.vectors"]
    size_bytes = (tmp_path / "index.faiss").stat().st_size
    assert index.describe()["bytes_per_vector"] == pytest.approx(size_bytes / N, rel=0.25)


def test_rows_that_come_later_are_added_to_what_was_chosen() -> None:
    index = filled(auto(recall=0.5))
    index.finish()
    index.add(Codes(unit_vectors(5, 10, DIM)))
    assert len(index) == N + 10
    assert (index.search(Codes(unit_vectors(5, 10, DIM)), 1).rows[:, 0] >= N).mean() > 0.8


def test_a_row_is_not_its_own_neighbour_among_the_held_out() -> None:
    vectors = unit_vectors(0, 300, 8)
    asked = held_out(vectors, 40, 5, 0)
    distances = ((vectors[asked.rows][:, None] - vectors[None]) ** 2).sum(-1)
    assert np.array_equal(asked.nearest, np.argsort(distances, axis=1, kind="stable")[:, 1:6])
    assert without(np.array([3, 9]), np.array([[1, 3, 4], [1, 2, 4]])).tolist() == [[1, 4], [1, 2]]


@pytest.mark.parametrize("recall", [0.0, 1.5])
def test_recall_that_is_no_share_is_refused(recall: float) -> None:
    with pytest.raises(ConfigError, match="expected above 0 and at most 1"):
        auto(recall=recall)


def test_engine_is_ready_when_it_is_built_and_its_manifest_keeps_the_curve(tmp_path: Path) -> None:
    options = {"mosaic": "all_patches", "code": "l2", "index": "auto", "ranking": "nearest_patch"}
    parts = {group: part(group, option) for group, option in options.items()}
    engine = RetrievalEngine("any", **parts, training_sample=TrainingSample(9, 9, 1, 0))
    engine.build(database()[0])
    assert isinstance(engine.index, Auto)
    assert engine.index._index is not None
    engine.save(tmp_path / "index")
    settings = read_manifest(tmp_path / "index")["index_settings"]
    assert settings["code"] == "exact"
    assert [point["recall"] for point in settings["curve"]] == [1.0]
