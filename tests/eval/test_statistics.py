from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError
from src.eval.statistics import (
    Average,
    Bootstrap,
    average_of,
    bootstrap_interval,
    bootstrap_intervals,
    holm,
    paired_permutation_test,
)


def test_averages_over_queries_classes_and_their_median_differ() -> None:
    values, classes = np.array([1.0, 1.0, 1.0, 0.0, 0.4]), np.array([0, 0, 0, 1, 4])
    assert average_of(values, classes, "queries") == pytest.approx(3.4 / 5)
    assert average_of(values, classes, "classes") == pytest.approx(1.4 / 3)
    assert average_of(values, classes, "median of classes") == pytest.approx(0.4)


def test_values_that_are_nan_are_left_out_and_nothing_left_is_nan() -> None:
    assert average_of(np.array([1.0, np.nan]), np.array([0, 1]), "classes") == 1.0
    for average in ("queries", "classes", "median of classes"):
        assert np.isnan(average_of(np.array([np.nan]), np.array([0]), average))


@pytest.mark.parametrize("average", ["queries", "classes", "median of classes"])
def test_interval_equals_a_plain_loop_that_draws_patients(average: Average) -> None:
    rng = np.random.default_rng(3)
    patients = np.repeat([f"p{i}" for i in range(30)], rng.integers(1, 5, 30))
    values, classes = rng.random(len(patients)), rng.integers(0, 3, len(patients))
    rows_of = [np.flatnonzero(patients == name) for name in np.unique(patients)]
    estimates = []
    for _ in range(3000):
        drawn = np.concatenate([rows_of[i] for i in rng.integers(0, len(rows_of), len(rows_of))])
        means = [values[drawn][classes[drawn] == c].mean() for c in np.unique(classes[drawn])]
        averages = {"queries": values[drawn].mean(), "classes": np.mean(means), "median of classes": np.median(means)}
        estimates.append(averages[average])
    got = bootstrap_interval(values, classes, patients.tolist(), average, Bootstrap(3000, seed=1))
    assert got == pytest.approx(tuple(np.quantile(estimates, [0.025, 0.975])), abs=0.012)


def test_interval_is_wider_when_the_queries_of_a_patient_agree() -> None:
    values = np.repeat(np.arange(200) % 2, 10).astype(np.float64)
    classes = np.zeros(2000, np.int64)
    clustered = bootstrap_interval(values, classes, [f"p{i // 10}" for i in range(2000)])
    alone = bootstrap_interval(values, classes, [f"p{i}" for i in range(2000)])
    assert clustered is not None
    assert alone is not None
    # The standard error of 200 clusters is sqrt(10) times that of 2000 single queries.
    assert (clustered[1] - clustered[0]) / (alone[1] - alone[0]) == pytest.approx(np.sqrt(10), rel=0.15)


def test_interval_is_the_same_for_the_same_seed_and_moves_with_it() -> None:
    rng = np.random.default_rng(0)
    values, classes, patients = rng.random(50), rng.integers(0, 2, 50), [f"p{i}" for i in range(50)]
    first, again, other = (
        bootstrap_interval(values, classes, patients, "queries", Bootstrap(500, seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_interval_of_a_class_is_that_of_its_queries_alone() -> None:
    rng = np.random.default_rng(0)
    values, classes, patients = rng.random(300), np.repeat([0, 1, 2], 100), [f"p{i}" for i in range(300)]
    found = bootstrap_intervals(values, classes, patients, (), Bootstrap(4000))
    assert found is not None
    assert sorted(found.classes) == [0, 1, 2]
    for code, interval in found.classes.items():
        own = classes == code
        alone = bootstrap_interval(values[own], classes[own], [f"p{i}" for i in range(100)], "queries", Bootstrap(4000))
        assert interval == pytest.approx(alone, abs=0.01)


def test_class_of_one_patient_has_no_interval() -> None:
    values, classes = np.array([0.0, 1.0, 0.5, 0.5]), np.array([0, 0, 1, 1])
    found = bootstrap_intervals(values, classes, ["a", "b", "c", "c"], ("queries", "classes"))
    assert found is not None
    assert list(found.classes) == [0]
    assert set(found.averages) == {"queries", "classes"}


def test_one_patient_has_no_interval() -> None:
    assert bootstrap_interval(np.array([0.0, 1.0]), np.array([0, 0]), ["a", "a"]) is None


def test_no_resamples_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_resamples is 0; it must be at least 1"):
        Bootstrap(n_resamples=0)


@given(st.integers(0, 1000))
def test_permutation_test_agrees_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random(8) + 0.2, rng.random(8)
    exact = scipy.stats.permutation_test(
        (a, b), lambda x, y, axis: (x - y).sum(axis=axis), permutation_type="samples", vectorized=True, n_resamples=256
    )
    p = paired_permutation_test(a, b, [f"p{i}" for i in range(8)], n_permutations=8000)
    assert p == pytest.approx(exact.pvalue, abs=0.03)


def test_permutation_test_has_the_known_p_of_a_difference_that_never_changes_sign() -> None:
    p = paired_permutation_test(np.ones(6), np.zeros(6), list("abcdef"), n_permutations=20_000)
    assert p == pytest.approx(2 / 2**6, rel=0.1)


def test_queries_of_one_patient_are_one_observation() -> None:
    p = paired_permutation_test(np.ones(300), np.zeros(300), ["a", "b", "c"] * 100)
    assert p == pytest.approx(2 / 2**3, rel=0.1)


def test_smallest_p_is_one_of_all_permutations() -> None:
    patients = [f"p{i}" for i in range(200)]
    assert paired_permutation_test(np.ones(200), np.zeros(200), patients, n_permutations=99) == 1 / 100


def test_permutation_test_is_symmetric_and_leaves_nan_out() -> None:
    rng = np.random.default_rng(0)
    a, b, patients = rng.random(12), rng.random(12), [f"p{i}" for i in range(12)]
    assert paired_permutation_test(a, b, patients) == paired_permutation_test(b, a, patients)
    with_nan = paired_permutation_test(np.append(a, np.nan), np.append(b, 1.0), [*patients, "other"])
    assert with_nan == paired_permutation_test(a, b, patients)


def test_holm_corrects_step_down() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values: list[float]) -> None:
    corrected = np.array(holm(p_values))
    p = np.array(p_values)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, p * len(p)) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()
