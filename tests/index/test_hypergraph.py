from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import ConfigError
from src.index.indexes.binary_flat import BinaryFlat
from src.index.rankers.hypergraph import Hypergraph
from src.index.rankers.neighbour_lists import NeighbourLists
from src.interfaces import Codes, FittedRanker, Neighbours, Rows

N_BITS = 128


def hypergraph(**changes: Any) -> Hypergraph:
    settings = {"n_nearest": 4, "n_spare": 6, "alpha": 1.0, "beta": 1.0, "use_weights": True}
    return Hypergraph(**{**settings, "official_transductive": False, "official_first_row_norm": False, **changes})


def random_codes(seed: int, n: int) -> Codes:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (n, N_BITS // 8)).astype(np.uint8)
    return Codes(values, N_BITS, weights=rng.uniform(0.5, 2, n).astype(np.float32))


def rows_of(n_slides: int, n_patches: int) -> Rows:
    names = tuple(f"s{i:02d}" for i in range(n_slides))
    slide_of_row = np.repeat(np.arange(n_slides), n_patches)
    xy = np.stack([np.arange(len(slide_of_row)), np.zeros(len(slide_of_row), np.int64)], axis=1)
    return Rows(names, names, slide_of_row, xy)


def index_of(codes: Codes) -> BinaryFlat:
    index = BinaryFlat()
    index.add(codes)
    return index


def fitted(ranking: Hypergraph, codes: Codes, rows: Rows) -> Hypergraph:
    ranking.fit(codes, index_of(codes), rows)
    return ranking


def dense(ranking: Hypergraph, rows: Rows) -> np.ndarray:
    return np.asarray(ranking.hyperedges(rows).incidence(np.ones(len(rows), dtype=bool)).matrix.todense())


def test_hypergraph_keeps_its_protocol() -> None:
    assert isinstance(hypergraph(), FittedRanker)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), n_slides=st.integers(1, 5), n_patches=st.integers(1, 4))
def test_incidence_agrees_with_a_loop(seed: int, n_slides: int, n_patches: int) -> None:
    rows, codes = rows_of(n_slides, n_patches), random_codes(seed, n_slides * n_patches)
    assert codes.weights is not None
    named = index_of(codes).search(codes, len(codes)).rows[:, :4]
    expected = np.zeros((n_slides, n_slides))
    for row, others in enumerate(named):
        for i, other in enumerate(others):
            expected[row // n_patches, other // n_patches] += codes.weights[other] * (1 - np.log(i + 1) / np.log(5))
    ours = dense(fitted(hypergraph(), codes, rows), rows)
    np.testing.assert_allclose(ours, expected / expected.sum(axis=1, keepdims=True))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), n_left_out=st.integers(0, 2))
def test_slides_that_are_left_out_are_as_if_they_had_never_been_there(seed: int, n_left_out: int) -> None:
    n_slides, n_patches = 8, 3
    rows, codes, query = rows_of(n_slides, n_patches), random_codes(seed, 24), random_codes(seed + 1, 3)
    is_excluded = rows.slide_of_row >= n_slides - n_left_out
    index = index_of(codes)
    hits = fitted(hypergraph(), codes, rows).rank("q", index.search(query, 24, is_excluded), rows, 8).hits
    n_kept = int((~is_excluded).sum())
    kept, kept_rows = codes.take(np.flatnonzero(~is_excluded)), rows_of(n_slides - n_left_out, n_patches)
    alone = fitted(hypergraph(), kept, kept_rows)
    expected = alone.rank("q", index_of(kept).search(query, n_kept), kept_rows, 8).hits
    assert [hit.slide_id for hit in hits] == [hit.slide_id for hit in expected]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), n_rows=st.integers(5, 30))
def test_a_newcomer_counts_in_each_list_where_it_would_stand(seed: int, n_rows: int) -> None:
    codes, newcomer = random_codes(seed, n_rows), random_codes(seed + 1, 1)
    lists = NeighbourLists.of(codes, index_of(codes), 7)
    found = index_of(codes).search(newcomer, n_rows)
    counts = lists.counts_of_newcomer(found.rows[0], found.distances[0], np.ones(n_rows, dtype=bool), 4)
    joined = Codes(np.concatenate([codes.values, newcomer.values]), N_BITS)
    everyone = index_of(joined).search(joined, n_rows + 1).rows
    for row, count in zip(found.rows[0], counts, strict=True):
        place = everyone[row].tolist().index(n_rows)  # ties: the newcomer has the largest row
        assert count == pytest.approx(1 - np.log(place + 1) / np.log(5) if place < 4 else 0)


def test_a_slide_finds_its_copy_first() -> None:
    rows, codes = rows_of(6, 4), random_codes(0, 24)
    query = codes.take(slice(8, 12))
    ranking = fitted(hypergraph(), codes, rows)
    assert next(iter(ranking.rank("q", index_of(codes).search(query, 24), rows, 3))).slide_id == "s02"


def test_the_weight_of_a_patch_counts_only_where_it_is_asked_for() -> None:
    rows, codes = rows_of(6, 4), random_codes(0, 24)
    weighted, uniform = (dense(fitted(hypergraph(use_weights=use), codes, rows), rows) for use in (True, False))
    plain = dense(fitted(hypergraph(), Codes(codes.values, N_BITS), rows), rows)
    assert np.abs(weighted - uniform).max() > 0.01
    np.testing.assert_array_equal(uniform, plain)


def test_what_was_found_is_taken_up_again() -> None:
    rows, codes = rows_of(6, 4), random_codes(0, 24)
    ranking, other = fitted(hypergraph(), codes, rows), hypergraph()
    other.restore(ranking.state())
    neighbours = index_of(codes).search(random_codes(1, 3), 24)
    assert other.rank("q", neighbours, rows, 6) == ranking.rank("q", neighbours, rows, 6)


def test_a_query_of_elsewhere_is_refused_where_only_slides_of_the_database_are_asked() -> None:
    rows, codes = rows_of(6, 4), random_codes(0, 24)
    ranking = fitted(hypergraph(official_transductive=True), codes, rows)
    with pytest.raises(ConfigError, match=r"^q: is no slide of the database.*official_transductive[^\n]*$"):
        ranking.rank("q", index_of(codes).search(random_codes(1, 3), 24), rows, 6)


@pytest.mark.parametrize(("setting", "value"), [("n_nearest", 0), ("n_spare", -1), ("alpha", -0.5), ("beta", -1.0)])
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"ranking hypergraph: .*{setting} {'is ' * (value == 0)}{value:g}"):
        hypergraph(**{setting: value})


def _settings(name: str) -> dict[str, Any]:
    n_nearest, alpha, beta, weights = name.split("_")
    return {
        "n_nearest": int(n_nearest[1:]),
        "alpha": float(alpha[1:]),
        "beta": float(beta[1:]),
        "use_weights": weights == "weighted",
    }


@pytest.mark.golden
def test_official_switches_give_the_recorded_incidence_and_order(golden_dir: Path) -> None:
    """From the recorded order of neighbours, as the official sort decides between equal distances."""
    with np.load(golden_dir / "g9_hshr_inputs.npz", allow_pickle=False) as inputs:
        weights, distances, order = inputs["weight"], inputs["cosine_dis"], inputs["top_idx"]
    n_slides, n_patches = weights.shape
    rows = rows_of(n_slides, n_patches)
    state = {"rows": order, "distances": np.take_along_axis(distances, order, axis=1), "weights": weights.ravel()}
    for name, recorded in json.loads((golden_dir / "g9_hshr_results.json").read_text()).items():
        ranking = hypergraph(official_transductive=True, official_first_row_norm=True, **_settings(name))
        ranking.restore(state)
        np.testing.assert_allclose(dense(ranking, rows), recorded["incidence"], rtol=1e-6, atol=1e-9)
        for slide, top in zip(rows.slide_ids, recorded["top"], strict=True):
            first = slice(rows.slide_ids.index(slide) * n_patches, None)
            found = Neighbours(state["distances"][first][:n_patches], order[first][:n_patches])
            assert [int(hit.slide_id[1:]) for hit in ranking.rank(slide, found, rows, n_slides)] == top
