import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError
from src.index.rankers.nearest_patch import NearestPatch
from src.index.rankers.patches import Patches
from src.index.rankers.rank_sum import RankSum
from src.interfaces import Neighbours, Ranker, Rows


def rows_of(slides: list[str]) -> Rows:
    """One row per entry, its x the row."""
    names = sorted(set(slides), reverse=True)
    xy = np.stack([np.arange(len(slides)), np.zeros(len(slides), dtype=np.int64)], axis=1)
    slide_of_row = np.array([names.index(slide) for slide in slides], dtype=np.int64)
    return Rows(tuple(names), tuple(f"patient of {n}" for n in names), slide_of_row, xy)


def found(*per_query: list[tuple[int, float]]) -> Neighbours:
    rows = np.array([[row for row, _ in query] for query in per_query], dtype=np.int64)
    distances = np.array([[distance for _, distance in query] for query in per_query], dtype=np.float32)
    return Neighbours(distances, rows)


def test_rankers_keep_their_protocol() -> None:
    rankers = NearestPatch(100), Patches(100), RankSum(100, official_ties=False)
    assert all(isinstance(ranker, Ranker) for ranker in rankers)


def test_nearest_patch_names_each_slide_once_at_its_nearest_patch() -> None:
    neighbours = found([(2, 0.25), (0, 0.5), (-1, np.inf)], [(1, 0.125), (0, 0.375), (2, 0.5)])
    hits = NearestPatch(10).rank("q", neighbours, rows_of(["a", "a", "b"]), k=5).hits
    assert [(hit.slide_id, hit.x, hit.distance, hit.score) for hit in hits] == [
        ("a", 1, 0.125, -0.125),
        ("b", 2, 0.25, -0.25),
    ]
    assert hits[0].patient_id == "patient of a"


def test_nearest_patch_gives_ties_to_the_smaller_slide_id_then_x() -> None:
    neighbours = found([(0, 0.5), (1, 0.5), (2, 0.5)])
    hits = NearestPatch(10).rank("q", neighbours, rows_of(["b", "a", "a"]), k=5).hits
    assert [(hit.slide_id, hit.x) for hit in hits] == [("a", 1), ("b", 0)]


def test_patches_answers_with_every_row_once_at_its_nearest() -> None:
    neighbours = found([(0, 0.5), (1, 0.75)], [(1, 0.25), (2, 0.5)])
    hits = Patches(10).rank("q", neighbours, rows_of(["b", "b", "a"]), k=5).hits
    assert [(hit.slide_id, hit.x, hit.distance) for hit in hits] == [("b", 1, 0.25), ("a", 2, 0.5), ("b", 0, 0.5)]


def test_rank_sum_gives_n_minus_i_to_the_slide_of_hit_i() -> None:
    neighbours = found([(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4)])
    hits = RankSum(100, official_ties=False).rank("q", neighbours, rows_of(["a", "b", "b", "c"]), k=2).hits
    assert [(hit.slide_id, hit.score, hit.x) for hit in hits] == [("b", 5, 1), ("a", 4, 0)]


def test_rank_sum_gives_equal_sums_to_the_nearer_slide_and_officially_to_the_later() -> None:
    neighbours = found([(0, 0.1), (1, 0.2), (2, 0.3)])  # a: 3, b: 2 + 1
    rows = rows_of(["a", "b", "b"])
    ours, official = (RankSum(100, official_ties=ties).rank("q", neighbours, rows, 5) for ties in (False, True))
    assert [hit.slide_id for hit in ours] == ["a", "b"]
    assert [hit.slide_id for hit in official] == ["b", "a"]


def test_rank_sum_merges_query_codes_by_distance_and_counts_the_first_n() -> None:
    neighbours = found([(0, 0.125), (1, 0.5)], [(1, 0.25), (2, 0.375)])
    hits = RankSum(2, official_ties=False).rank("q", neighbours, rows_of(["a", "b", "c"]), k=5).hits
    assert [(hit.slide_id, hit.score, hit.distance) for hit in hits] == [("a", 2, 0.125), ("b", 1, 0.25)]


@pytest.mark.parametrize("ranker", [NearestPatch(9), Patches(9), RankSum(9, official_ties=False)])
def test_nothing_found_is_an_empty_ranking(ranker: Ranker) -> None:
    assert len(ranker.rank("q", found([(-1, np.inf)]), rows_of(["a"]), k=5)) == 0


@pytest.mark.parametrize("make", [NearestPatch, Patches, lambda n: RankSum(n, official_ties=False)])
def test_no_neighbours_are_refused(make: type[NearestPatch]) -> None:
    with pytest.raises(ConfigError, match="n_neighbours is 0, expected at least 1"):
        make(0)


@given(seed=st.integers(0, 10**6), n_queries=st.integers(1, 3), n_rows=st.integers(1, 30), k=st.integers(1, 9))
def test_nearest_patch_agrees_with_a_loop(seed: int, n_queries: int, n_rows: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    slides = [f"s{i}" for i in rng.integers(0, 6, n_rows)]
    distances = rng.integers(0, 5, (n_queries, n_rows)).astype(np.float32)  # many ties
    neighbours = Neighbours(distances, np.tile(np.arange(n_rows), (n_queries, 1)))
    best: dict[str, tuple[float, int]] = {}
    for row, slide in enumerate(slides):
        best[slide] = min(best.get(slide, (np.inf, 0)), (float(distances[:, row].min()), row))
    expected = sorted(best, key=lambda slide: (best[slide][0], slide))[:k]
    hits = NearestPatch(5).rank("q", neighbours, rows_of(slides), k).hits
    assert [(hit.slide_id, hit.distance, hit.x) for hit in hits] == [(s, *best[s]) for s in expected]


@pytest.mark.golden
@pytest.mark.parametrize("official_ties", [False, True])
def test_rank_sum_repeats_the_recorded_order_of_slides(golden_dir: Path, official_ties: bool) -> None:
    golden = json.loads((golden_dir / "here_ranking.json").read_text())
    slides = golden["top_slides_in_hit_order"]
    neighbours = found([(row, row / 100) for row in range(len(slides))])
    hits = RankSum(100, official_ties).rank("q", neighbours, rows_of(slides), k=len(slides)).hits
    assert {hit.slide_id: hit.score for hit in hits} == golden["slide_rank_sum"]
    if official_ties or len(set(golden["slide_rank_sum"].values())) == len(golden["slide_rank_sum"]):
        assert [hit.slide_id for hit in hits] == golden["slide_order"]
    assert {hit.slide_id: hit.x for hit in hits} == {slide: slides.index(slide) for slide in slides}
