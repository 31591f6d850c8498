from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError, IndexMismatch
from src.index import exact_recall as module
from src.index.codes.l2 import L2
from src.index.codes.raw import Raw
from src.index.engine import RetrievalEngine
from src.index.exact_recall import ExactRecall, exact_recall
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.indexes.itq_lsh import ItqLsh
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.patches import Patches
from src.index.training_sample import TrainingSample
from src.interfaces import Code, Codes, Index, Neighbours, SlideFeatures
from tests.index.databases import MemoryStore, random_database, slide_of

STORE = random_database(0, [40] * 15)


def engine_with(index: Index, code: Code | None = None, store: MemoryStore = STORE) -> RetrievalEngine:
    sample = TrainingSample(n_slides=500, n_patches=100, min_patches=1, seed=0)
    engine = RetrievalEngine("test", AllPatches(), code or L2(), index, Patches(10), sample)
    engine.build(store)
    return engine


def queries(n: int, n_patches: int = 1) -> list[SlideFeatures]:
    rng = np.random.default_rng(1)
    return [slide_of(f"q{i}", rng.normal(size=(n_patches, 32))) for i in range(n)]


def measured(
    engine: RetrievalEngine, asked: list[SlideFeatures], scratch: Path, k: int = 10, excluded: np.ndarray | None = None
) -> dict[str, float]:
    mask = np.zeros(len(engine.rows), dtype=bool) if excluded is None else excluded
    with exact_recall(engine, STORE, k, scratch) as recall:
        assert recall is not None
        for query in asked:
            recall.add(query, mask)
        values = recall.values()
    assert not list(scratch.iterdir())
    return values


@pytest.mark.parametrize(("index", "code"), [(Flat("cosine"), L2()), (Flat("l2"), L2()), (Flat("l2"), Raw())])
def test_exact_indexes_lose_nothing(index: Index, code: Code, tmp_path: Path) -> None:
    excluded = np.arange(600) % 3 == 0
    assert set(measured(engine_with(index, code), queries(20, 3), tmp_path, excluded=excluded).values()) == {1.0}


@pytest.mark.parametrize("block", [1, 700, 1 << 24])
@pytest.mark.parametrize("make", [lambda: ItqLsh(32), lambda: HnswIvfPq(8, 8, 16, 8, 2, 16, 40)])
def test_recall_is_the_share_of_the_exact_rows_whatever_the_block(
    make: type[Index], block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_DISTANCES", block)
    engine, asked = engine_with(make()), queries(7, 4)
    excluded = np.arange(600) < 100
    database = np.concatenate([L2().encode(slide.features).values for slide in STORE.slides])
    expected = {}
    for query in asked:
        codes = L2().encode(query.features)
        exact = np.argsort(np.where(excluded, 9.0, 1 - codes.values @ database.T), axis=1)[:, :10]
        found = engine.index.search(codes, 10, excluded).rows
        expected[query.slide_id] = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)])
    assert 0 < np.mean(list(expected.values())) < 1
    assert measured(engine, asked, tmp_path, excluded=excluded) == pytest.approx(expected)


class LastOfEqual(Flat):
    """Flat, but of five equal rows it answers the last ones."""

    def search(self, queries: Codes, k: int, excluded: np.ndarray | None = None) -> Neighbours:
        found = super().search(queries, 5, excluded)
        return Neighbours(found.distances[:, -k:], found.rows[:, -k:])


def test_a_row_as_near_as_the_last_exact_one_counts(tmp_path: Path) -> None:
    slide = slide_of("s", np.repeat(np.eye(32), 5, axis=0))
    engine = engine_with(LastOfEqual("cosine"), store=MemoryStore([slide]))
    with exact_recall(engine, MemoryStore([slide]), 3, tmp_path) as recall:
        assert recall is not None
        recall.add(slide_of("q", np.eye(32)[:1]), np.zeros(160, dtype=bool))
        assert recall.values() == {"q": 1.0}


def test_a_query_with_few_rows_is_measured_by_those_and_one_without_any_has_no_recall(tmp_path: Path) -> None:
    engine, (first, second) = engine_with(Flat("cosine")), queries(2)
    with exact_recall(engine, STORE, 10, tmp_path) as recall:
        assert isinstance(recall, ExactRecall)
        recall.add(first, np.arange(600) >= 4)
        recall.add(second, np.ones(600, dtype=bool))
        values = recall.values()
    assert values["q0"] == 1.0
    assert math.isnan(values["q1"])


def test_nothing_is_measured_when_it_is_off(tmp_path: Path) -> None:
    with exact_recall(engine_with(Flat("cosine")), STORE, None, tmp_path) as recall:
        assert recall is None


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    engine = engine_with(Flat("cosine"))
    with pytest.raises(ConfigError, match="recall_against_exact is 0 with float codes, expected at least 1"):
        exact_recall(engine, STORE, 0, tmp_path).__enter__()
    fewer = MemoryStore([slide_of(slide.slide_id, slide.features[:39]) for slide in STORE.slides])
    with pytest.raises(IndexMismatch, match="s000: its features are not those of the index"):
        exact_recall(engine, fewer, 10, tmp_path).__enter__()
