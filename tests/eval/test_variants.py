"""The published definitions, by hand and against the numbers of the official code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.retrieval import retrieval_average_precision

from src.errors import ConfigError
from src.eval.judged import Judged
from src.eval.metrics import NO_HIT
from src.eval.statistics import average_of
from src.eval.variants import METRICS, metrics_at
from tests.index.test_weighted_uncertainty import finals, recorded

Lists = Sequence[Sequence[str | None]]


def judged_lists(query_label: Sequence[str], retrieved: Lists) -> Judged:
    """Judged rankings of label lists; None is a missing hit."""
    names = tuple(sorted({*query_label, *(label for row in retrieved for label in row if label is not None)}))
    codes = {name: code for code, name in enumerate(names)} | {None: NO_HIT}
    width = max((len(row) for row in retrieved), default=0)
    hits = [[codes[label] for label in row] + [NO_HIT] * (width - len(row)) for row in retrieved]
    many = np.full(len(query_label), 1000)
    ids = tuple(f"q{i}" for i in range(len(query_label)))
    labels = np.array([codes[label] for label in query_label], dtype=np.int64)
    matrix = np.array(hits, dtype=np.int64).reshape(len(query_label), width)
    return Judged(ids, ids, labels, matrix, many, many, names)


def values(name: str, judged: Judged, k: int) -> np.ndarray:
    return METRICS[name].values(judged, k)


def one(name: str, hits: Sequence[str | None], k: int) -> float:
    """The value of a single query of label A."""
    return float(values(name, judged_lists(["A"], [hits]), k)[0])


def by_class(name: str, judged: Judged, k: int) -> dict[str, float]:
    got = values(name, judged, k)
    return {
        label: float(got[judged.query_label == code].mean())
        for code, label in enumerate(judged.class_names)
        if (judged.query_label == code).any()
    }


def test_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'mAPP' is not known; choose from top1, mMV, .*here/mAP"):
        metrics_at(["mMV", "mAPP"], [1])


def test_every_metric_is_reported_once_per_k_and_top_1_once() -> None:
    assert list(metrics_at(["top1", "nejm/mMV"], [1, 5])) == ["top1", "nejm/mMV@1", "nejm/mMV@5"]


def test_sish_wants_half_of_k_votes_of_a_short_list() -> None:
    assert one("sish/mMV", ["A", "A"], 5) == 0.0
    assert one("sish/mMV", ["A", "A", "A"], 5) == 1.0
    assert one("sish/mMV", ["A", "B", "C", "D", "E"], 5) == 1.0  # a full list needs no minimum


def test_sish_patch_is_never_right_with_a_short_list() -> None:
    assert one("sish_patch/mMV", ["A"] * 4, 5) == 0.0
    assert one("sish_patch/mMV", ["A"] * 5, 5) == 1.0


def test_sish_and_here_divide_by_five_whatever_k_is() -> None:
    assert one("sish/mAP", ["A"] * 10, 10) == pytest.approx(2.0)
    assert one("here/mAP", ["A"], 5) == pytest.approx(0.2)


def test_nejm_drops_a_query_when_missing_hits_win_the_vote() -> None:
    assert np.isnan(one("nejm/mMV", ["A", None, None], 3))
    assert one("nejm/mMV", ["A", None], 2) == 1.0  # a tie goes to the label, which is met first
    assert one("nejm/mAP", ["A", None, None], 3) == 1.0


def test_overall_value_of_here_is_the_median_of_the_classes() -> None:
    assert METRICS["here/mAP"].average == "median of classes"
    assert average_of(np.array([0.0, 1.0, 0.9]), np.array([0, 1, 2]), "median of classes") == 0.9


def test_pathsearch_counts_the_first_hit_any_hit_or_a_vote_whose_ties_go_to_the_smaller_class() -> None:
    assert [one("pathsearch/", hits, 3) for hits in (["A", "B", "B"], ["B", "A", "A"])] == [1.0, 0.0]
    assert [one("pathsearch/recall", hits, 2) for hits in (["B", "A"], ["B", "C", "A"], [None])] == [1.0, 0.0, 0.0]
    assert one("pathsearch/MV", ["B", "A"], 3) == 1.0
    assert one("pathsearch/MV", ["B", "B", None, None, None], 5) == one("pathsearch/MV", [None], 1) == 0.0


@pytest.mark.golden
def test_pathsearch_values_equal_the_recorded_ones(golden_dir: Path) -> None:
    recorded_values = json.loads((golden_dir / "pathsearch_metrics.json").read_text())["retrieval_metrics"]
    with np.load(golden_dir / "pathsearch_bob.npz", allow_pickle=False) as file:
        labels, hits = file["labels"], file["labels"][file["ranking"]]
    many, ids = np.full(len(labels), 1000), tuple(map(str, range(len(labels))))
    judged = Judged(ids, ids, labels, hits, many, many, tuple(map(str, range(labels.max() + 1))))
    names = {"@": "pathsearch/", "hit_any@": "pathsearch/recall", "MV@": "pathsearch/MV"}
    for key, expected in recorded_values.items():
        name, _, k = key.partition("@")
        assert values(names[f"{name}@"], judged, int(k)).mean() == pytest.approx(expected), key


@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=12), st.integers(1, 15))
def test_average_precision_over_the_found_equals_torchmetrics(row: list[str], k: int) -> None:
    target = torch.tensor([label == "A" for label in row])
    expected = float(retrieval_average_precision(torch.arange(len(row), 0, -1).float(), target, top_k=k))
    assert one("nejm/mAP", row, k) == pytest.approx(expected)
    assert one("hshr/mAP", row, k) == pytest.approx(expected)


@given(st.lists(st.sampled_from("ABC"), max_size=12), st.integers(1, 10))
def test_sish_vote_equals_a_counter_with_a_minimum(row: list[str], k: int) -> None:
    winner, votes = Counter(row[:k]).most_common(1)[0] if row else ("", 0)
    expected = winner == "A" and (len(row) >= k or votes >= np.ceil(k / 2))
    assert one("sish/mMV", row, k) == float(expected)


def golden(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


@pytest.mark.golden
def test_nejm_numbers_of_every_recorded_result(golden_dir: Path) -> None:
    recorded = golden(golden_dir, "g8_metrics_nejm.json")
    n_compared = 0
    for name, result in recorded.items():
        if name == "random":
            continue
        judged = judged_lists(result["query"], result["retrieved"])
        for key, expected in result["metrics"].items():
            got = len(judged) if key == "n" else nejm_mean(judged, key)
            assert got == pytest.approx(expected, abs=1e-12), (name, key)
            n_compared += 1
    assert n_compared > 0


def nejm_mean(judged: Judged, key: str) -> float:
    metric, k = metrics_at([f"nejm/{key.split('@')[0]}"], [int(key.split("@")[1])])[f"nejm/{key}"]
    return average_of(metric.values(judged, k), judged.query_label, metric.average)


@pytest.mark.golden
def test_nejm_values_of_every_recorded_random_row(golden_dir: Path) -> None:
    random = golden(golden_dir, "g8_metrics_nejm.json")["random"]
    judged = judged_lists([row[0] for row in random["rows"]], [row[1:] for row in random["rows"]])
    for key in random["per_row"][0]:
        name, k = key.split("@")
        expected = [np.nan if row[key] is None else row[key] for row in random["per_row"]]
        assert values(f"nejm/m{name}", judged, int(k)) == pytest.approx(expected, nan_ok=True), key


@pytest.mark.golden
def test_sish_patch_numbers(golden_dir: Path) -> None:
    recorded = golden(golden_dir, "g8_sish_eval_patch.json")
    labels, lists = zip(*recorded["input"].values(), strict=True)
    assert_classes(judged_lists(labels, lists), 5, recorded["metrics"], "sish_patch/mMV", "sish_patch/mAP")


def assert_classes(
    judged: Judged, k: int, expected: dict[str, Any], vote: str, precision: str, atol: float = 1e-9
) -> None:
    accuracies = {name: row["Acc"] for name, row in expected.items()}
    precisions = {name: row["Percision"] for name, row in expected.items()}
    assert by_class(vote, judged, k) == pytest.approx(accuracies, abs=atol)
    assert by_class(precision, judged, k) == pytest.approx(precisions, abs=atol)


@pytest.mark.golden
@pytest.mark.parametrize("recording", ["g3_subtype", "g3_organ", "synthetic_subtype", "synthetic_organ"])
def test_sish_slide_numbers(golden_dir: Path, recording: str) -> None:
    case = recorded(golden_dir, recording)
    result, label_of = case.results, case.query_label
    dropped = result["slides_dropped_from_metrics_because_official_crashes"]
    asked = [slide for slide in label_of if slide not in dropped]
    # eval.py weighs classes by the queries that it is given, which are not those that the recorded lists came from.
    answers = finals(case, Counter(label_of[slide] for slide in asked), asked)
    judged = judged_lists([label_of[slide] for slide in asked], [[hit[2] for hit in answer] for answer in answers])
    assert_classes(judged, result["topk"], result["eval_py_metrics"], "sish/mMV", "sish/mAP")


@pytest.mark.golden
def test_hshr_numbers_of_every_setting(golden_dir: Path) -> None:
    with np.load(golden_dir / "g9_hshr_inputs.npz", allow_pickle=False) as inputs:
        parts = [path.split("/") for path in inputs["path"].tolist()]
    label, patient = [part[1] for part in parts], [part[2].split("-")[2] for part in parts]
    for result in golden(golden_dir, "g9_hshr_results.json").values():
        tops = [[row for row in top if patient[row] != patient[query]] for query, top in enumerate(result["top"])]
        judged = judged_lists(label, [[label[row] for row in top] for top in tops])
        # The official code rounds to four decimals.
        assert by_class("hshr/mMV", judged, 5) == pytest.approx(result["mmv"], abs=5.1e-5)
        assert by_class("hshr/mAP", judged, 5) == pytest.approx(result["map"], abs=5.1e-5)


HERE_CLASSES = ("Neoplastic cells", "Inflammatory", "Connective/Soft tissue cells", "Dead Cells", "Epithelial")


def here_judged(features: np.ndarray, label: np.ndarray, metric: int) -> Judged:
    """The five nearest of ten, the query itself taken out of them, as HERE's patch benchmark has it."""
    index = faiss.IndexFlat(features.shape[1], metric)
    index.add(features)
    rows = index.search(features, 10)[1]
    others = [[row for row in top if row != query][:5] for query, top in enumerate(rows.tolist())]
    return judged_lists([HERE_CLASSES[i] for i in label], [[HERE_CLASSES[label[row]] for row in top] for top in others])


@pytest.mark.golden
def test_here_numbers_of_flat_indexes(golden_dir: Path) -> None:
    recorded = golden(golden_dir, "here_map5.json")
    with np.load(golden_dir / "here_map5.npz", allow_pickle=False) as inputs:
        raw, raw_label = inputs["X"], inputs["Y"]
        hashed, hashed_label = inputs["X_hash"], inputs["Y_hash"]
    hashed = hashed / np.linalg.norm(hashed, axis=1, keepdims=True)
    assert_classes(
        here_judged(raw, raw_label, faiss.METRIC_L2),
        5,
        recorded["raw_euclidean_get_results_v4"],
        "here/mMV",
        "here/mAP",
    )
    # Unit vectors nearly tie in float32: one hit of one query may fall either way, 0.2 of one class's sum.
    for name, metric in {"IndexFlatL2": faiss.METRIC_L2, "IndexFlatIP": faiss.METRIC_INNER_PRODUCT}.items():
        expected = recorded["hash_get_results_v5"][name]
        assert_classes(here_judged(hashed, hashed_label, metric), 5, expected, "here/mMV", "here/mAP", atol=5e-4)
