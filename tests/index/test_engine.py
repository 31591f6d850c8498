from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.errors import ConfigError, IncompatibleParts, IndexMismatch, SlideError
from src.index.codes.here import Here
from src.index.codes.l2 import L2
from src.index.engine import RetrievalEngine
from src.index.folder import Provenance
from src.index.indexes.flat import Flat
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.nearest_patch import NearestPatch
from src.index.rankers.patches import Patches
from src.index.rankers.rank_sum import RankSum
from src.index.training_sample import TrainingSample
from src.index.widening import neighbours_for
from src.interfaces import CodeKind, Codes, Engine, Index, Mosaic, Ranker, Rows, SlideFeatures
from tests.index.databases import MemoryStore, random_database, slide_of

SAMPLE = TrainingSample(n_slides=500, n_patches=100, min_patches=100, seed=0)


def flat_engine(ranking: Ranker | None = None) -> RetrievalEngine:
    return RetrievalEngine("patch_flat", AllPatches(), L2(), Flat("cosine"), ranking or NearestPatch(3), SAMPLE)


def built(store: MemoryStore, ranking: Ranker | None = None) -> RetrievalEngine:
    engine = flat_engine(ranking)
    engine.build(store)
    return engine


def cosine_distances(query: np.ndarray, database: np.ndarray) -> np.ndarray:
    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (query, database)]
    return np.asarray(1 - unit[0].astype(np.float64) @ unit[1].T.astype(np.float64))


def test_engine_keeps_its_protocol() -> None:
    assert isinstance(flat_engine(), Engine)


def test_rows_say_where_each_patch_comes_from() -> None:
    rows = built(random_database(0, [2, 3])).rows
    assert rows.slide_ids == ("s000", "s001")
    assert rows.patient_ids == ("patient of s000", "patient of s001")
    assert rows.slide_of_row.tolist() == [0, 0, 1, 1, 1]
    assert rows.xy.tolist() == [[0, 0], [256, 0], [0, 0], [256, 0], [512, 0]]


@pytest.mark.parametrize("k", [1, 4, 29, 99])
def test_slides_are_ranked_by_their_exact_nearest_patch(k: int) -> None:
    store = random_database(0, [5] * 30)
    query = slide_of("q", np.random.default_rng(1).normal(size=(7, 32)))
    nearest = {s.slide_id: cosine_distances(query.features, s.features).min() for s in store.slides}
    expected = sorted(nearest, key=lambda slide_id: nearest[slide_id])[:k]
    hits = built(store).search(query, k).hits
    assert [hit.slide_id for hit in hits] == expected
    np.testing.assert_allclose([hit.distance for hit in hits], [nearest[slide_id] for slide_id in expected], atol=1e-6)


def test_a_slide_hidden_behind_many_patches_of_another_is_still_found() -> None:
    crowd = np.tile([1.0, 0.1], (50, 1)) + np.random.default_rng(0).normal(scale=1e-3, size=(50, 2))
    store = MemoryStore([slide_of("crowd", crowd), slide_of("far", np.array([[0.0, 1.0]]))])
    hits = built(store).search(slide_of("q", np.array([[1.0, 0.0]])), k=2).hits
    assert [hit.slide_id for hit in hits] == ["crowd", "far"]


def test_a_slide_is_as_near_as_its_best_query_patch_even_if_another_patch_found_it_first() -> None:
    def at(*degrees: float) -> np.ndarray:
        return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)

    # The patch at 90 finds only the crowd; the one at 0 finds 30, then 75, which is nearer to 90 than 30 is to 0.
    store = MemoryStore([slide_of("crowd", at(89, 91, 92)), slide_of("near", at(75)), slide_of("far", at(30))])
    hits = built(store, NearestPatch(2)).search(slide_of("q", at(0, 90)), k=2).hits
    assert [hit.slide_id for hit in hits] == ["crowd", "near"]


def test_patches_are_ranked_one_by_one() -> None:
    store = random_database(0, [4, 4])
    query = slide_of("q", np.random.default_rng(1).normal(size=(2, 32)))
    distances = cosine_distances(query.features, np.concatenate([s.features for s in store.slides])).min(axis=0)
    hits = built(store, Patches(1)).search(query, 6).hits
    np.testing.assert_allclose([hit.distance for hit in hits], np.sort(distances)[:6], atol=1e-6)


def test_excluded_rows_are_never_answered() -> None:
    engine = built(random_database(0, [5] * 9))
    is_excluded = engine.rows.slide_of_row == 4
    query = random_database(0, [5] * 9).slides[4]
    assert engine.search(query, 99).hits[0].slide_id == "s004"
    answers = {hit.slide_id for hit in engine.search(query, 99, is_excluded)}
    assert answers == {f"s{i:03d}" for i in range(9)} - {"s004"}
    assert len(engine.search(query, 99, np.ones(45, dtype=bool))) == 0


def test_a_query_can_be_asked_by_other_patches_than_the_database_keeps() -> None:
    class First:
        def select(self, slide: SlideFeatures) -> np.ndarray:
            return np.array([0])

    store = MemoryStore([slide_of("a", np.array([[1.0, 0.0], [0.0, 1.0]])), slide_of("b", np.array([[0.6, 0.8]]))])
    query = slide_of("q", np.array([[0.5, 0.8], [0.0, 1.0]]))

    def engine_of(mosaic: Mosaic, query_mosaic: Mosaic | None) -> RetrievalEngine:
        engine = RetrievalEngine("e", mosaic, L2(), Flat("cosine"), NearestPatch(3), SAMPLE, query_mosaic=query_mosaic)
        engine.build(store)
        return engine

    assert engine_of(AllPatches(), None).search(query, 1).hits[0].slide_id == "a"
    other = engine_of(AllPatches(), First())
    assert len(other.rows) == 3
    assert other.search(query, 1).hits[0].slide_id == "b"
    both = engine_of(First(), None)
    assert len(both.rows) == 2
    assert both.search(query, 1).hits[0].slide_id == "b"


def test_progress_is_told_slide_by_slide() -> None:
    told: list[str] = []
    flat_engine().build(random_database(0, [1, 2, 3]), on_slide=told.append)
    assert told == ["s000", "s001", "s002"]


def test_code_and_index_of_other_kinds_are_refused() -> None:
    class Barcode(L2):
        kind: CodeKind = "binary"

    with pytest.raises(IncompatibleParts, match=r"index flat takes float codes, code \w+ gives binary ones; choose"):
        RetrievalEngine("e", AllPatches(), Barcode(), Flat("cosine"), NearestPatch(3), SAMPLE)


def test_searches_that_cannot_work_are_refused() -> None:
    store = random_database(0, [3])
    engine = flat_engine()
    with pytest.raises(ConfigError, match="no database yet"):
        engine.search(store.slides[0], 1)
    engine.build(store)
    with pytest.raises(ConfigError, match="k is 0"):
        engine.search(store.slides[0], 0)
    with pytest.raises(ConfigError, match="mask has 2 rows, the database has 3"):
        engine.search(store.slides[0], 1, np.zeros(2, dtype=bool))
    with pytest.raises(SlideError, match="empty: no patches"):
        engine.search(slide_of("empty", np.zeros((0, 32))), 1)
    with pytest.raises(IndexMismatch, match="small: features have 16 columns, the index was built with 32"):
        engine.search(slide_of("small", np.ones((2, 16))), 1)


def test_a_second_build_and_an_empty_one_are_refused() -> None:
    engine = built(random_database(0, [3]))
    with pytest.raises(ConfigError, match="holds 3 rows already"):
        engine.build(random_database(0, [3]))
    with pytest.raises(ConfigError, match="no slide has patches"):
        flat_engine().build(MemoryStore([]))


def test_an_engine_without_a_database_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no database yet"):
        flat_engine().save(tmp_path / "index")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            RetrievalEngine("here", AllPatches(), Here(), Flat("cosine"), NearestPatch(3), SAMPLE),
            r"code is 'src\.index\.codes\.l2\.L2', expected 'src\.index\.codes\.here\.Here'",
        ),
        (
            RetrievalEngine("l2", AllPatches(), L2(), Flat("l2"), NearestPatch(3), SAMPLE),
            r"index_settings is {'metric': 'cosine'}, expected {'metric': 'l2'}",
        ),
    ],
)
def test_an_index_of_other_parts_is_not_loaded(tmp_path: Path, other: RetrievalEngine, message: str) -> None:
    built(random_database(0, [3])).save(tmp_path / "index")
    with pytest.raises(IndexMismatch, match=message + "; rebuild it: python build_index.py"):
        other.load(tmp_path / "index")
    with pytest.raises(ConfigError, match="no database yet"):
        other.search(random_database(0, [3]).slides[0], 1)


def test_an_index_of_another_encoder_is_not_loaded(tmp_path: Path) -> None:
    built(random_database(0, [3])).save(tmp_path / "index", Provenance(encoder="uni", encoder_digest="aaa"))
    flat_engine().load(tmp_path / "index", expected=Provenance(encoder="uni", encoder_digest="aaa", seed=7))
    for encoder, message in [
        (Provenance("conch", "aaa"), "encoder is 'uni', expected 'conch'"),
        (Provenance("uni", "bbb"), "encoder_digest is 'aaa', expected 'bbb'"),
    ]:
        with pytest.raises(IndexMismatch, match=message):
            flat_engine().load(tmp_path / "index", expected=encoder)


def test_labels_of_today_reach_the_ranking() -> None:
    engine = built(random_database(0, [2, 3, 1]))
    engine.use_labels({"grade": pd.Series({"s001": "G2", "s000": "G1", "other": "G3"}, dtype=object)})
    assert engine.rows.labels == {"grade": ("G1", "G2", None)}


def test_a_ranking_whose_thresholds_are_of_another_distance_is_refused() -> None:
    ranking = NearestPatch(3)
    ranking.distance_unit = "Hamming, bits"
    with pytest.raises(IncompatibleParts, match="nearest_patch judges distances in Hamming, bits, index flat states 1"):
        flat_engine(ranking)


def test_a_ranking_may_ask_for_every_row() -> None:
    ranking = RankSum(5, official_ties=False)
    ranking.n_neighbours = None
    store = random_database(0, [4] * 50)
    neighbours = neighbours_for(
        ranking, built(store).index, built(store).rows, L2().encode(store.slides[0].features), 3, None
    )
    assert neighbours.rows.shape == (4, 200)


class SeesAll(NearestPatch):
    """Counts what it is shown."""

    def __init__(self, depth: int) -> None:
        super().__init__(3)
        self.depth = depth
        self.seen = np.zeros(0)

    def fit(self, codes: Codes, index: Index, rows: Rows) -> None:
        assert len(index) == len(rows) == len(codes)
        self.seen = codes.values[: self.depth]

    def settings(self) -> dict[str, Any]:
        return {"depth": self.depth}

    def state(self) -> dict[str, np.ndarray]:
        return {"seen": self.seen}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self.seen = state["seen"]


def test_a_ranking_that_is_fitted_sees_all_codes_once_and_is_kept_with_the_index(tmp_path: Path) -> None:
    store, ranking, restored = random_database(0, [2, 3]), SeesAll(4), SeesAll(4)
    engine = built(store, ranking)
    features = np.concatenate([slide.features for slide in store.slides])
    np.testing.assert_array_equal(ranking.seen, L2().encode(features).values[:4])
    engine.save(tmp_path / "index")
    flat_engine(restored).load(tmp_path / "index")
    np.testing.assert_array_equal(restored.seen, ranking.seen)


@pytest.mark.parametrize("built_with", [None, SeesAll(9)])
def test_a_ranking_is_refused_that_the_index_was_not_built_for(tmp_path: Path, built_with: Ranker | None) -> None:
    built(random_database(0, [2, 3]), built_with).save(tmp_path / "index")
    with pytest.raises(IndexMismatch, match=r"ranking_fitted is .*, expected {'name': 'SeesAll', 'depth': 4}; rebuild"):
        flat_engine(SeesAll(4)).load(tmp_path / "index")


def test_an_index_that_was_built_for_a_fitted_ranking_takes_any_other(tmp_path: Path) -> None:
    store = random_database(0, [2, 3])
    built(store, SeesAll(4)).save(tmp_path / "index")
    engine = flat_engine()
    engine.load(tmp_path / "index")
    assert engine.search(store.slides[0], 2) == built(store).search(store.slides[0], 2)
