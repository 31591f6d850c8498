from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import ConfigError
from src.index.significance import (
    background_of,
    draw_background,
    euclidean_distances,
    significance,
)

POOL = np.arange(40, dtype=np.float32).reshape(20, 2)
BACKGROUND = np.array([1, 2, 3, 4], dtype=np.float32)


def assert_equal_in_float32(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.golden
@pytest.mark.parametrize(("official", "name"), [(False, "paper"), (True, "web")])
def test_z_and_p_are_those_of_here(golden_dir: Path, official: bool, name: str) -> None:
    with np.load(golden_dir / "here_significance.npz", allow_pickle=False) as recorded:
        found = significance(recorded["faiss_sq_l2"], recorded["bg_dist"], official)
        assert_equal_in_float32(found.z, recorded[f"{name}_z"])
        np.testing.assert_array_equal(found.p, recorded[f"{name}_p"])


@pytest.mark.golden
def test_distances_from_vectors_are_those_of_here(golden_dir: Path) -> None:
    with np.load(golden_dir / "here_significance.npz", allow_pickle=False) as recorded:
        query, hits = recorded["query"][0], recorded["database"][recorded["top_index"]]
        assert_equal_in_float32(euclidean_distances(query, recorded["background"]), recorded["bg_dist"])
        assert_equal_in_float32(euclidean_distances(query, hits), recorded["euclid"])


@pytest.mark.golden
def test_mean_and_std_of_the_background_are_those_of_here(golden_dir: Path) -> None:
    ranking = json.loads((golden_dir / "here_ranking.json").read_text())
    with np.load(golden_dir / "here_significance.npz", allow_pickle=False) as recorded:
        found = significance(recorded["faiss_sq_l2"], recorded["bg_dist"])
    measured = (found.background_mean, found.background_std)
    assert_equal_in_float32(measured, (ranking["bg_mean"], ranking["bg_std_ddof0"]))


def test_p_counts_a_background_vector_at_the_same_distance() -> None:
    found = significance(np.array([0, 4, 6, 16], dtype=np.float32), BACKGROUND)
    assert found.p.tolist() == [0.0, 0.5, 0.5, 1.0]


def test_the_official_score_is_not_rooted() -> None:
    squared = np.array([4], dtype=np.float32)
    mean, std = 2.5, np.sqrt(1.25)
    assert significance(squared, BACKGROUND).z[0] == pytest.approx((2 - mean) / std)
    assert significance(squared, BACKGROUND, official_squared_score=True).z[0] == pytest.approx((4 - mean) / std)


def test_adjusted_p_is_benjamini_hochberg_by_its_definition() -> None:
    squared = np.random.default_rng(1).uniform(0.5, 20, 30).astype(np.float32)
    found = significance(squared, np.linspace(0.1, 4, 200, dtype=np.float32))
    for value, adjusted in zip(found.p, found.p_adjusted, strict=True):
        worse = [q * len(found.p) / np.sum(found.p <= q) for q in found.p if q >= value]
        assert adjusted == pytest.approx(min(1, *worse))


def test_no_hits_have_no_significance_and_raise_nothing() -> None:
    assert len(significance(np.array([], dtype=np.float32), BACKGROUND).p_adjusted) == 0


def test_a_squared_distance_just_below_zero_is_zero() -> None:
    found = significance(np.array([-1e-7, 0], dtype=np.float32), BACKGROUND)
    assert found.z[0] == found.z[1]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda: significance(BACKGROUND, np.array([], dtype=np.float32)), "the background is empty"),
        (lambda: significance(BACKGROUND, np.full(7, 0.1, dtype=np.float32)), "all 7 background distances are 0.1"),
        (lambda: significance(BACKGROUND, BACKGROUND * np.float32(np.nan)), "4 of 4 distances of the background"),
        (lambda: significance(np.array([1, np.inf]), BACKGROUND), "1 of 2 distances of the hits"),
        (lambda: significance(np.array([-1.0]), BACKGROUND), "expected none below 0"),
        (lambda: euclidean_distances(np.zeros(2), np.zeros((0, 2))), "holds no vectors"),
        (lambda: euclidean_distances(np.zeros(3), POOL), "query has 3 columns, the background 2"),
        (lambda: draw_background(np.zeros((0, 2))), "the pool holds no vectors"),
        (lambda: draw_background(POOL, n=0), "n is 0, expected at least 1"),
        (lambda: draw_background(POOL, n=21, with_replacement=False), "n is 21, expected 1 to 20"),
        (lambda: background_of({}, "TCGA"), "TCGA was asked for"),
    ],
)
def test_what_has_no_significance_is_refused_in_one_line(fault: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        fault()
    assert "\n" not in str(raised.value)


def test_a_background_is_drawn_with_replacement_and_repeats_with_its_seed() -> None:
    drawn = draw_background(POOL, n=1000, seed=3)
    assert len(drawn) == 1000
    assert {tuple(row) for row in drawn} == {tuple(row) for row in POOL}
    np.testing.assert_array_equal(drawn, draw_background(POOL, n=1000, seed=3))
    assert not np.array_equal(drawn, draw_background(POOL, n=1000, seed=4))


def test_without_replacement_no_vector_comes_twice() -> None:
    drawn = draw_background(POOL, n=20, with_replacement=False)
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, POOL))


def test_n_none_is_the_whole_pool_in_order() -> None:
    np.testing.assert_array_equal(draw_background(POOL, n=None), POOL)


def test_a_cohort_without_a_background_takes_all_of_them() -> None:
    backgrounds = {"TCGA": POOL[:3], "NCI": POOL[3:10]}
    np.testing.assert_array_equal(background_of(backgrounds, "NCI"), POOL[3:10])
    np.testing.assert_array_equal(background_of(backgrounds, "ALL"), POOL[:10])
