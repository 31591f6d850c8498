"""The eta of Kimia Path24C against the recordings, by hand, and by chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError
from src.eval.judged import Judged
from src.eval.kimia import ETA
from src.eval.statistics import average_of
from src.eval.variants import METRICS


def judged_of(labels: np.ndarray, distances: np.ndarray) -> Judged:
    """Every item asks all others, nearest first."""
    distances = distances.astype(np.float64)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :-1]
    n_relevant = np.bincount(labels)[labels] - 1
    names = tuple(f"s{i}" for i in range(int(labels.max()) + 1))
    ids = tuple(f"q{i}" for i in range(len(labels)))
    return Judged(ids, ids, labels, labels[order], n_relevant, np.full(len(labels), len(labels) - 1), names)


def etas(rule: str, judged: Judged) -> dict[str, float]:
    metrics = {eta: METRICS[f"{rule}/{eta}"] for eta in ETA}
    return {eta: average_of(m.values(judged, 1), judged.query_label, m.average) for eta, m in metrics.items()}


@pytest.mark.golden
def test_both_rules_over_test_patches_give_the_recorded_numbers(golden_dir: Path) -> None:
    with np.load(golden_dir / "lgffem_kimia_metrics.npz", allow_pickle=False) as file:
        vectors, labels, nearest = file["X"].astype(np.float64), file["labels"], file["nn1"]
    judged = judged_of(labels, ((vectors[:, None] - vectors[None]) ** 2).sum(2))
    np.testing.assert_array_equal(judged.hit_label[:, 0], labels[nearest])
    recorded = json.loads((golden_dir / "lgffem_metrics.json").read_text())
    for rule, key in (("kimia_notebook", "notebook"), ("kimia_leave_one_out", "leave_one_out_top1")):
        expected = {name.replace("_w", "_W"): value for name, value in recorded[key].items()}
        assert etas(rule, judged) == pytest.approx(expected, rel=1e-9), rule


def test_a_random_ranking_has_a_quarter_by_the_rule_of_the_notebook() -> None:
    labels = np.repeat(np.arange(24), 30)
    found = [
        etas("kimia_notebook", judged_of(labels, np.random.default_rng(seed).random((720, 720))))["eta_tot"]
        for seed in range(3)
    ]
    assert np.mean(found) == pytest.approx(0.276, abs=0.03)


def test_the_notebook_asks_the_first_patch_of_each_scan_alone() -> None:
    labels = np.array([0, 0, 1, 1])
    near = np.array([[0, 9, 1, 2], [1, 0, 9, 9], [9, 9, 0, 1], [1, 9, 9, 0]])
    # s0 sees one neighbour beside itself, of s1; s1 sees all.
    assert etas("kimia_notebook", judged_of(labels, near)) == {"eta_p": 0.75, "eta_W": 0.75, "eta_tot": 0.5625}
    assert etas("kimia", judged_of(labels, near)) == {"eta_p": 0.5, "eta_W": 0.5, "eta_tot": 0.25}


def test_scans_of_other_sizes_make_the_two_means_differ() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    near = np.array([[0, 1, 2, 9, 9], [1, 0, 2, 9, 9], [1, 2, 0, 9, 9], [1, 9, 9, 0, 2], [1, 9, 9, 2, 0]])
    assert etas("kimia", judged_of(labels, near)) == pytest.approx({"eta_p": 0.6, "eta_W": 0.5, "eta_tot": 0.3})


def test_rankings_that_are_too_short_are_refused() -> None:
    judged = judged_of(np.array([0, 0, 1, 1]), np.ones((4, 4)))
    short = Judged(
        judged.query_ids,
        judged.query_patients,
        judged.query_label,
        judged.hit_label[:, :1],
        judged.n_relevant,
        judged.n_allowed,
        judged.class_names,
    )
    with pytest.raises(ConfigError, match=r"q2 needs 3 hits, its ranking has 1; set eval.depth=4"):
        METRICS["kimia_notebook/eta_p"].values(short, 1)
