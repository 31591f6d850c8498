from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.eval.judged import Judged
from src.eval.measured import load_measured, save_measured
from src.eval.metrics import NO_HIT
from src.eval.summary import CHANCE, per_query, summarise, write_results
from tests.eval.tables import protocol

JUDGED = Judged(
    query_ids=("a1", "a2", "b1", "c1"),
    query_patients=("a", "a", "b", "c"),
    query_label=np.array([0, 0, 0, 1]),
    hit_label=np.array([[0, 1, 1], [1, 0, 1], [0, 0, NO_HIT], [1, 0, 0]]),
    n_relevant=np.array([1, 1, 2, 1]),
    n_allowed=np.array([4, 4, 4, 4]),
    class_names=("lung", "liver", "bone"),
    dropped={"without a label": 2},
)


def test_value_is_the_mean_over_queries_and_macro_over_classes() -> None:
    summary = summarise(JUDGED, protocol(metrics=["mMV"]))["mMV@1"]
    assert summary.value == pytest.approx(3 / 4)
    assert summary.macro == pytest.approx((2 / 3 + 1) / 2)
    assert summary.per_class == pytest.approx({"lung": 2 / 3, "liver": 1.0})


def test_a_published_metric_reports_its_own_average() -> None:
    summary = summarise(JUDGED, protocol(metrics=["sish/mMV"]))["sish/mMV@1"]
    assert summary.average == "classes"
    assert summary.value == summary.macro


def test_short_lists_are_counted() -> None:
    summaries = summarise(JUDGED, protocol(metrics=["mAP"]))
    assert {key: summary.n_short for key, summary in summaries.items()} == {"mAP@1": 0, "mAP@3": 1, CHANCE: 0}


def test_chance_is_the_share_of_relevant_items() -> None:
    assert summarise(JUDGED, protocol())[CHANCE].value == pytest.approx(5 / 16)


def test_interval_encloses_the_value() -> None:
    for summary in summarise(JUDGED, protocol()).values():
        assert summary.ci95 is not None
        assert summary.value is not None
        assert summary.ci95[0] <= summary.value <= summary.ci95[1]
        assert summary.macro_ci95 is not None
        assert summary.macro is not None
        assert summary.macro_ci95[0] <= summary.macro <= summary.macro_ci95[1]


def test_class_of_several_patients_has_an_interval_of_its_own() -> None:
    summary = summarise(JUDGED, protocol(metrics=["mMV"]))["mMV@1"]
    assert list(summary.per_class_ci95) == ["lung"]  # both queries of liver would be of one patient
    low, high = summary.per_class_ci95["lung"]
    assert low <= summary.per_class["lung"] <= high


def test_queries_that_a_definition_drops_do_not_count() -> None:
    judged = replace(JUDGED, hit_label=np.array([[0], [NO_HIT], [NO_HIT], [1]]))
    assert summarise(judged, protocol(metrics=["nejm/mMV"], k=[1]))["nejm/mMV@1"].n_queries == 2
    nothing = summarise(judged, protocol(metrics=["nejm/mMV"], k=[3]))["nejm/mMV@3"]
    assert (nothing.value, nothing.macro, nothing.ci95, nothing.n_queries) == (None, None, None, 0)


def test_every_single_value_is_kept() -> None:
    table = per_query(JUDGED, protocol(metrics=["top1", "mAP"], k=[3]))
    assert table.columns.tolist() == ["query_id", "query_patient", "label", "top1", "mAP@3"]
    assert table["label"].tolist() == ["lung", "lung", "lung", "liver"]
    assert table["top1"].tolist() == [1.0, 0.0, 1.0, 1.0]


def test_measured_values_follow_the_metrics_and_leave_out_who_has_none(tmp_path: Path) -> None:
    save_measured(tmp_path, {"recall@10_vs_exact": {"dropped": 1.0, "c1": 0.2, "b1": np.nan, "a2": 0.4, "a1": 0.6}})
    measured = load_measured(tmp_path)
    summaries = summarise(JUDGED, protocol(metrics=["mAP"], k=[1]), measured)
    assert list(summaries) == ["mAP@1", "recall@10_vs_exact", CHANCE]
    summary = summaries["recall@10_vs_exact"]
    assert summary.value == pytest.approx(0.4)
    assert summary.n_queries == 3
    assert summary.per_class == pytest.approx({"lung": 0.5, "liver": 0.2})
    values = per_query(JUDGED, protocol(), measured)["recall@10_vs_exact"]
    assert values.fillna(-1).tolist() == [0.6, 0.4, -1, 0.2]


def test_nothing_measured_is_no_column_and_removes_what_an_earlier_run_measured(tmp_path: Path) -> None:
    save_measured(tmp_path, {"recall@10_vs_exact": {"a1": 1.0}})
    save_measured(tmp_path, {})
    assert load_measured(tmp_path).columns.empty
    assert "recall@10_vs_exact" not in per_query(JUDGED, protocol(), load_measured(tmp_path))


def test_files_hold_what_was_summarised(tmp_path: Path) -> None:
    made = protocol(metrics=["mAP", "nejm/mMV"], k=[1, 3])
    summaries = write_results(tmp_path, JUDGED, made)
    document = json.loads((tmp_path / "metrics.json").read_text())
    assert list(document) == list(summaries)
    assert document["mAP@3"]["value"] == summaries["mAP@3"].value
    asked = json.loads((tmp_path / "protocol.json").read_text())
    assert asked["n_queries"] == 4
    assert asked["dropped"] == {"without a label": 2}
    saved = pd.read_parquet(tmp_path / "per_query.parquet")
    assert saved["mAP@3"].mean() == pytest.approx(summaries["mAP@3"].value)


def test_judged_rankings_that_find_more_than_there_is_are_refused() -> None:
    with pytest.raises(ValueError, match="more relevant hits than the database holds"):
        replace(JUDGED, n_relevant=np.array([0, 1, 2, 1]))
    with pytest.raises(ValueError, match="columns of different lengths"):
        replace(JUDGED, query_ids=("a1",))
