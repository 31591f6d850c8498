"""Each metric against an independent reference over random rankings, and its edges by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_precision, retrieval_recall

from src.eval.metrics import (
    NO_HIT,
    UNLABELLED,
    average_precision_at_k,
    majority_vote_at_k,
    precision_at_k,
    recall_at_k,
    top_1,
)


@dataclass(frozen=True)
class Case:
    """Queries whose lists name the whole database, cut after `n_hits`."""

    query_label: np.ndarray
    full: np.ndarray
    hit_label: np.ndarray
    n_relevant: np.ndarray
    k: int


@st.composite
def cases(draw: st.DrawFn, complete: bool = False) -> Case:
    n_queries, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    query_label = rng.integers(0, 3, n_queries)
    full = rng.integers(0, 3, (n_queries, n_items))
    n_hits = np.full(n_queries, n_items) if complete else rng.integers(0, n_items + 1, n_queries)
    hit_label = np.where(np.arange(n_items) < n_hits[:, None], full, NO_HIT)
    n_relevant = (full == query_label[:, None]).sum(axis=1)
    return Case(query_label, full, hit_label, n_relevant, draw(st.integers(1, 15)))


def torchmetrics_value(function: Callable[..., torch.Tensor], case: Case) -> list[float]:
    n_items = case.full.shape[1]
    scores = torch.arange(n_items, 0, -1).float()
    target = torch.from_numpy(case.full == case.query_label[:, None])
    return [float(function(scores, row, top_k=case.k)) for row in target]


def naive_average_precision(relevant: list[bool], n_relevant: int, k: int) -> float:
    found, total = 0, 0.0
    for rank, is_relevant in enumerate(relevant[:k], start=1):
        if is_relevant:
            found += 1
            total += found / rank
    return total / min(k, n_relevant) if n_relevant else 0.0


@given(cases(complete=True))
def test_precision_and_recall_equal_torchmetrics(case: Case) -> None:
    precision = precision_at_k(case.query_label, case.hit_label, case.k)
    recall = recall_at_k(case.query_label, case.hit_label, case.n_relevant, case.k)
    assert precision == pytest.approx(torchmetrics_value(retrieval_precision, case))
    assert recall == pytest.approx(torchmetrics_value(retrieval_recall, case))


@given(cases(complete=True))
def test_top_1_equals_the_hit_rate_of_torchmetrics(case: Case) -> None:
    first = Case(case.query_label, case.full, case.hit_label, case.n_relevant, k=1)
    assert top_1(case.query_label, case.hit_label).tolist() == torchmetrics_value(retrieval_hit_rate, first)


@given(cases())
def test_average_precision_equals_a_plain_loop(case: Case) -> None:
    relevant = (case.hit_label == case.query_label[:, None]).tolist()
    expected = [naive_average_precision(row, int(n), case.k) for row, n in zip(relevant, case.n_relevant, strict=True)]
    assert average_precision_at_k(case.query_label, case.hit_label, case.n_relevant, case.k) == pytest.approx(expected)


@given(cases(complete=True))
def test_average_precision_of_the_whole_database_equals_sklearn(case: Case) -> None:
    n_items = case.full.shape[1]
    values = average_precision_at_k(case.query_label, case.hit_label, case.n_relevant, n_items)
    for row, label, value in zip(case.full, case.query_label, values, strict=True):
        relevant = row == label
        expected = average_precision_score(relevant, np.arange(n_items, 0, -1)) if relevant.any() else 0.0
        assert value == pytest.approx(expected)


@given(cases())
def test_majority_vote_equals_a_counter(case: Case) -> None:
    lists = [[label for label in row if label != NO_HIT] for row in case.hit_label[:, : case.k].tolist()]
    expected = [
        float(bool(row) and Counter(row).most_common(1)[0][0] == label)
        for row, label in zip(lists, case.query_label, strict=True)
    ]
    assert majority_vote_at_k(case.query_label, case.hit_label, case.k).tolist() == expected


@given(cases())
@settings(max_examples=50)
def test_every_metric_stays_between_zero_and_one(case: Case) -> None:
    args = case.query_label, case.hit_label
    for values in (
        top_1(*args),
        majority_vote_at_k(*args, case.k),
        precision_at_k(*args, case.k),
        average_precision_at_k(*args, case.n_relevant, case.k),
        recall_at_k(*args, case.n_relevant, case.k),
    ):
        assert values.shape == case.query_label.shape
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()


def test_a_perfect_ranking_of_a_small_class_has_average_precision_one() -> None:
    value = average_precision_at_k(np.array([0]), np.array([[0, 0, 1, 1, 1]]), np.array([2]), 5)
    assert value.tolist() == [1.0]


def test_a_tie_of_the_vote_goes_to_the_better_ranked_label() -> None:
    assert majority_vote_at_k(np.array([0, 0]), np.array([[0, 1, 1, 0], [1, 0, 0, 1]]), 4).tolist() == [1.0, 0.0]


def test_an_empty_answer_is_wrong_in_every_metric() -> None:
    label, empty, n_relevant = np.array([0]), np.full((1, 0), NO_HIT), np.array([3])
    assert top_1(label, empty).tolist() == [0.0]
    assert majority_vote_at_k(label, empty, 5).tolist() == [0.0]
    assert precision_at_k(label, empty, 5).tolist() == [0.0]
    assert average_precision_at_k(label, empty, n_relevant, 5).tolist() == [0.0]
    assert recall_at_k(label, empty, n_relevant, 5).tolist() == [0.0]


def test_an_unlabelled_hit_takes_a_place_and_is_relevant_to_nobody() -> None:
    label, hits = np.array([0]), np.array([[UNLABELLED, 0]])
    assert precision_at_k(label, hits, 2).tolist() == [0.5]
    assert average_precision_at_k(label, hits, np.array([1]), 2).tolist() == [0.5]
