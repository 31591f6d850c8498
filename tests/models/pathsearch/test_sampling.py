from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.models.pathsearch.sampling import Strata, quotas, sample, stratify


def blobs(sizes: tuple[int, ...] = (60, 30, 10)) -> np.ndarray:
    """Groups of points that lie far apart, in one dimension more than they need."""
    rng = np.random.default_rng(0)
    centres = np.repeat(100 * np.eye(len(sizes), 4), sizes, axis=0)
    return np.asarray(centres + rng.normal(size=centres.shape), np.float32)


@pytest.mark.golden
def test_recorded_quotas(golden_dir: Path) -> None:
    recorded = json.loads((golden_dir / "pathsearch_metrics.json").read_text())["sampling_quota"]
    assert recorded
    for case in recorded:
        assert quotas(np.array(case["counts"]), 512).tolist() == case["quota"]


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=16))
def test_quotas_fill_the_sample_and_forget_no_cluster(counts: list[int]) -> None:
    quota = quotas(np.array(counts), 512)
    assert quota.sum() == 512
    assert quota.min() >= 1
    assert (abs(quota - 1 - np.array(counts) / sum(counts) * (512 - len(counts))) < 1.01).all()


def test_each_cluster_gives_the_closest_and_others() -> None:
    strata = stratify(blobs(), 3, seed=0)
    drawn = sample(strata, 40, np.random.default_rng(0))
    for rows, quota in zip(strata.rows, quotas(np.array([len(rows) for rows in strata.rows]), 40), strict=True):
        taken = np.intersect1d(drawn, rows)
        assert np.isin(rows[: quota // 2], taken).all()
        assert np.isin(drawn, rows).sum() == quota == len(taken)  # none twice, as there are enough


def test_clusters_are_those_of_the_points_nearest_to_the_centre_first() -> None:
    points = blobs()
    strata = stratify(points, 3, seed=0)
    assert sorted(map(len, strata.rows)) == [10, 30, 60]
    for rows in strata.rows:
        distances = np.square(points[rows] - points[rows].mean(axis=0)).sum(axis=1)
        assert (np.diff(distances) > -1e-3).all()


def test_small_slides_are_drawn_from_with_replacement() -> None:
    drawn = sample(stratify(blobs((3, 2)), 16, seed=0), 50, np.random.default_rng(0))
    assert len(drawn) == 50
    assert set(drawn.tolist()) == set(range(5))


def test_a_cluster_smaller_than_its_quota_repeats_its_patches() -> None:
    strata = Strata((np.array([7]), np.arange(6), np.arange(8, 40)))
    drawn = sample(strata, 38, np.random.default_rng(0))
    assert len(drawn) == 38
    assert 7 in drawn


def test_equal_patches_are_one_cluster() -> None:
    strata = stratify(np.ones((30, 4), np.float32), 16, seed=0)
    assert len(sample(strata, 20, np.random.default_rng(0))) == 20


def test_samples_follow_from_the_random_numbers() -> None:
    strata = stratify(blobs(), 3, seed=0)
    first, again, other = (sample(strata, 40, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1))
    assert first == again != other
