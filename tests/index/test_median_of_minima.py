from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.index import widening
from src.index.codes.barcode import Barcode
from src.index.engine import RetrievalEngine
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.median_of_minima import MedianOfMinima
from src.index.rankers.merging import nearest_of_slides
from src.index.rankers.slide_minima import nearest_of_slides_among
from src.index.widening import CountsSlides, neighbours_for
from src.interfaces import Codes, Index, Neighbours, Ranker, SlideFeatures
from tests.index.databases import MemoryStore, slide_of, unit_vectors
from tests.index.test_engine import SAMPLE
from tests.index.test_rankers import found, rows_of


def test_median_of_minima_keeps_its_protocols() -> None:
    assert isinstance(MedianOfMinima(), Ranker)
    assert isinstance(MedianOfMinima(), CountsSlides)


def test_the_median_of_two_codes_lies_halfway_and_the_place_is_that_of_the_nearest_patch() -> None:
    neighbours = found([(1, 2), (2, 5), (0, 9)], [(0, 3), (2, 4), (1, 8)])
    hits = MedianOfMinima().rank("q", neighbours, rows_of(["a", "a", "b"]), k=5).hits
    assert [(hit.slide_id, hit.score, hit.distance, hit.x) for hit in hits] == [("a", -2.5, 2, 1), ("b", -4.5, 4, 2)]


def test_equal_medians_go_to_the_smaller_slide_id() -> None:
    neighbours = found([(0, 1), (1, 2), (2, 7)], [(2, 1), (1, 6), (0, 7)])
    hits = MedianOfMinima().rank("q", neighbours, rows_of(["c", "b", "a"]), k=5).hits
    assert [(hit.slide_id, hit.score) for hit in hits] == [("a", -4), ("b", -4), ("c", -4)]


def test_a_slide_that_half_of_the_codes_did_not_find_is_no_answer() -> None:
    neighbours = found([(0, 1), (1, 2)], [(0, 3), (-1, np.inf)])
    hits = MedianOfMinima().rank("q", neighbours, rows_of(["a", "b"]), k=5).hits
    assert [hit.slide_id for hit in hits] == ["a"]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    n_queries=st.integers(1, 5),
    n_rows=st.integers(1, 40),
    k=st.integers(1, 9),
    n_found_at_a_time=st.sampled_from([1, 70, 10**6]),
)
def test_ranking_agrees_with_its_definition_however_many_codes_are_searched_at_a_time(
    seed: int, n_queries: int, n_rows: int, k: int, n_found_at_a_time: int
) -> None:
    rng = np.random.default_rng(seed)
    slides = np.array([f"s{i}" for i in rng.integers(0, 6, n_rows)])
    vectors, queries = (rng.integers(0, 3, (n, 3)).astype(np.float32) for n in (n_rows, n_queries))  # many ties
    excluded = rng.random(n_rows) < 0.2
    excluded[0] = False
    index = Flat("l2")
    index.add(Codes(vectors))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(widening, "_MAX_FOUND", n_found_at_a_time)
        neighbours = neighbours_for(MedianOfMinima(), index, rows_of(list(slides)), Codes(queries), k, excluded)
    distances = ((queries[:, None] - vectors[None]) ** 2).sum(-1)
    medians = {
        str(slide): float(np.median(distances[:, (slides == slide) & ~excluded].min(axis=1)))
        for slide in np.unique(slides[~excluded])
    }
    hits = MedianOfMinima().rank("q", neighbours, rows_of(list(slides)), k).hits
    expected = sorted(medians, key=lambda slide: (medians[slide], slide))[:k]
    assert [(hit.slide_id, -hit.score) for hit in hits] == [(slide, medians[slide]) for slide in expected]
    for hit in hits:
        assert slides[hit.x] == hit.slide_id
        assert hit.distance == distances[:, hit.x].min() == distances[:, (slides == hit.slide_id) & ~excluded].min()


@given(seed=st.integers(0, 10**6), n_queries=st.integers(1, 4), n_rows=st.integers(1, 40), in_order=st.booleans())
def test_the_nearest_of_slides_are_those_of_a_search_for_every_row(
    seed: int, n_queries: int, n_rows: int, in_order: bool
) -> None:
    rng = np.random.default_rng(seed)
    database, queries = (Codes(rng.integers(0, 4, (n, 2), dtype=np.uint8), 16) for n in (n_rows, n_queries))
    slides = rng.integers(0, 6, n_rows)
    rows = rows_of([f"s{slide}" for slide in (np.sort(slides) if in_order else slides)])
    excluded = rng.random(n_rows) < 0.4
    index = BinaryFlat()
    index.add(database)
    expected = nearest_of_slides(index.search(queries, n_rows, excluded), rows)
    found = nearest_of_slides_among(index.distances(queries), rows, excluded)
    n_found = int(np.isfinite(found.distances[0]).sum())
    assert found.rows[:, :n_found].tolist() == expected.rows[:, :n_found].tolist()
    assert found.distances[:, :n_found].tolist() == expected.distances[:, :n_found].tolist()
    assert (found.rows[:, n_found:] == -1).all()
    assert (expected.rows[:, n_found:] == -1).all()


def test_memory_does_not_grow_with_the_number_of_query_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    n_codes: list[int] = []

    class Watched(Flat):
        def search(self, queries: Codes, k: int, excluded: np.ndarray | None = None) -> Neighbours:
            n_codes.append(len(queries))
            return super().search(queries, k, excluded)

    monkeypatch.setattr(widening, "_MAX_FOUND", 150)
    index = Watched("cosine")
    index.add(Codes(unit_vectors(0, 50, 8)))
    rows = rows_of(["a"] * 20 + ["b"] * 30)
    neighbours = neighbours_for(MedianOfMinima(), index, rows, Codes(unit_vectors(1, 7, 8)), 1, None)
    assert n_codes == [3, 3, 1]
    assert neighbours.rows.shape == (7, 2)


def test_an_approximate_index_gives_what_it_finds() -> None:
    index: Index = HnswIvfPq(8, 8, 40, 8, 1, 16, 40)
    vectors = Codes(unit_vectors(0, 600, 16))
    index.train(vectors)
    index.add(vectors)
    rows = rows_of([f"s{i // 20:02d}" for i in range(600)])
    neighbours = neighbours_for(MedianOfMinima(), index, rows, Codes(vectors.values[:3]), 5, None)
    hits = MedianOfMinima().rank("q", neighbours, rows, 5).hits
    assert hits[0].slide_id == "s00"
    assert all(np.isfinite(hit.score) for hit in hits)


def recorded_engine(recorded: dict[str, np.ndarray]) -> RetrievalEngine:
    bounds = zip(recorded["slide_offset"][:-1], recorded["slide_offset"][1:], strict=True)
    slides = [slide_of(f"{i:03d}", recorded["features"][a:b]) for i, (a, b) in enumerate(bounds)]
    engine = RetrievalEngine("yottixel", AllPatches(), Barcode("yottixel"), BinaryFlat(), MedianOfMinima(), SAMPLE)
    engine.build(MemoryStore(slides))
    return engine


@pytest.mark.golden
def test_distances_of_bunches_of_barcodes_are_the_recorded_ones(golden_dir: Path) -> None:
    recorded = _recorded(golden_dir)
    engine = recorded_engine(recorded)
    for slide_id, query, expected in _questions(recorded):
        hits = engine.search(query, len(expected)).hits
        assert {int(hit.slide_id): -hit.score for hit in hits} == dict(enumerate(expected)), slide_id


@pytest.mark.golden
def test_leave_one_slide_out_gives_the_recorded_distances_and_predictions(golden_dir: Path) -> None:
    recorded = _recorded(golden_dir)
    engine, labels = recorded_engine(recorded), recorded["label"]
    for place, query, _ in _questions(recorded):
        hits = engine.search(query, len(labels), engine.rows.slide_of_row == place).hits
        distances = [-hit.score for hit in hits]
        assert distances == recorded["loo_sorted_distance"][place].tolist()
        if len(set(distances[:6])) == 6:  # the official order inside a tie is not defined
            votes = Counter(str(labels[int(hit.slide_id)]) for hit in hits[:5])
            assert votes.most_common(1)[0][0] == recorded["loo_pred_top5"][place]


def _recorded(golden_dir: Path) -> dict[str, np.ndarray]:
    with np.load(golden_dir / "g5_yottixel_bob.npz", allow_pickle=False) as file:
        return dict(file)


def _questions(recorded: dict[str, np.ndarray]) -> Iterator[tuple[int, SlideFeatures, list[float]]]:
    offsets = recorded["slide_offset"]
    for place, expected in enumerate(recorded["distance"]):
        yield place, slide_of("query", recorded["features"][offsets[place] : offsets[place + 1]]), expected.tolist()
