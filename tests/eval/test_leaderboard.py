from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.eval.figures import speed_against_accuracy
from src.eval.judged import Judged
from src.eval.leaderboard import Leaderboard
from src.eval.leaderboard_files import write_leaderboard, write_pairs
from src.eval.run import Run, read_run
from src.eval.statistics import holm
from src.eval.summary import CHANCE, write_results
from tests.eval.tables import protocol


def metrics(value: float | None, **more: float) -> dict[str, dict[str, Any]]:
    return {
        key: {"value": number, "ci95": None if number is None else [number - 0.1, number + 0.1], "n_queries": 40}
        for key, number in {"mAP@5": value, **more, CHANCE: 0.05}.items()
    }


def single_values(values: np.ndarray, first: int = 0) -> pd.DataFrame:
    names = [f"q{i}" for i in range(first, first + len(values))]
    return pd.DataFrame({"query_id": names, "query_patient": names, "mAP@5": values})


GOOD = Run(
    "good", ["index=flat"], metrics=metrics(0.75, top1=0.5), timing={"search_ms": 1.5, "device": "cpu", "n_queries": 50}
)
BETTER_TOP = Run("top", ["index=lsh"], metrics=metrics(0.25, top1=0.625), timing={"search_ms": 0.5})
SKIPPED = Run("sish|x", ["code=l2"], "skipped", "sish needs binary codes,\nthe code l2 makes float codes")


def test_best_run_comes_first_and_runs_without_a_result_last() -> None:
    board = Leaderboard.of([SKIPPED, BETTER_TOP, GOOD])
    assert [run.name for run in board.runs] == ["good", "top", "sish|x"]
    assert board.sorted_by == "mAP@5"
    assert [run.name for run in Leaderboard.of([GOOD, BETTER_TOP], sorted_by="top1").runs] == ["top", "good"]


def test_a_run_whose_metric_has_no_value_follows_those_that_have_one() -> None:
    none = Run("none", metrics=metrics(None))
    assert [run.name for run in Leaderboard.of([SKIPPED, none, GOOD]).runs] == ["good", "none", "sish|x"]


def test_table_holds_plain_numbers() -> None:
    table = Leaderboard.of([SKIPPED, GOOD]).table()
    good, skipped = table.to_dict("records")
    assert [good[key] for key in ("mAP@5", "mAP@5_low", "mAP@5_high")] == [0.75, 0.65, 0.85]
    assert (good["search_ms"], good["n_queries"]) == (1.5, 40)
    assert np.isnan(skipped["mAP@5"])
    assert skipped["reason"].startswith("sish needs binary codes")
    assert "device" not in table


def test_p_is_given_against_the_best_where_the_queries_are_the_same() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(40)
    runs = [
        Run("best", metrics=metrics(0.9), per_query=single_values(base + 0.3)),
        Run("worse", metrics=metrics(0.5), per_query=single_values(base).sample(frac=1, random_state=0)),
        Run("equal", metrics=metrics(0.8), per_query=single_values(base + 0.3)),
        Run("other", metrics=metrics(0.4), per_query=single_values(base, first=1)),
        Run("bare", metrics=metrics(0.3)),
    ]
    board = Leaderboard.of(runs)
    p = {run.name: value for run, value in zip(board.runs, board.p_values, strict=True)}
    assert p == {"best": None, "equal": 1.0, "worse": holm([1 / 10_001, 1.0])[0], "other": None, "bare": None}


def test_every_pair_is_tested_and_corrected_for_all_pairs(tmp_path: Path) -> None:
    base = np.random.default_rng(0).random(40)
    values = {"a": base + 0.3, "b": base, "c": base - 0.3}
    runs = [Run(name, metrics=metrics(float(v.mean())), per_query=single_values(v)) for name, v in values.items()]
    board = Leaderboard.of([*runs, Run("other", metrics=metrics(0.1), per_query=single_values(base, first=1)), SKIPPED])
    write_pairs(board, tmp_path, seed=0)
    pairs = pd.read_csv(tmp_path / "leaderboard_pairs.csv")
    assert pairs[["run", "other"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert pairs["difference"].tolist() == pytest.approx([0.3, 0.6, 0.3])
    assert pairs["p_holm"].tolist() == pytest.approx([3 / 10_001] * 3)


def test_an_empty_board_and_a_board_of_failures_are_boards() -> None:
    assert Leaderboard.of([]).table().empty
    assert Leaderboard.of([SKIPPED]).table()["status"].tolist() == ["skipped"]


def test_a_finished_run_without_metrics_is_refused() -> None:
    with pytest.raises(ValueError, match="run good: status is ok, but there are no metrics"):
        Run("good")


def test_markdown_shows_intervals_marks_the_best_and_gives_the_reason(tmp_path: Path) -> None:
    write_leaderboard(Leaderboard.of([SKIPPED, BETTER_TOP, GOOD]), tmp_path)
    lines = (tmp_path / "leaderboard.md").read_text().splitlines()
    assert lines[0].startswith("| engine | overrides | mAP@5 | top1 | chance top-1 | p | queries | search |")
    assert lines[2].startswith(
        "| good | index=flat | **0.750** [0.650, 0.850] | 0.500 [0.400, 0.600] | 0.050 | – | 40 |"
    )
    assert "**0.625**" in lines[3]
    assert "skipped: sish needs binary codes, the code l2 makes float codes" in lines[4]
    assert {line.count("|") for line in lines} == {lines[0].count("|")}


def test_csv_comes_back_as_the_table(tmp_path: Path) -> None:
    board = Leaderboard.of([GOOD, BETTER_TOP])
    write_leaderboard(board, tmp_path)
    table = board.table()
    read = pd.read_csv(tmp_path / "leaderboard.csv")
    assert read.columns.tolist() == table.columns.tolist()
    assert read["mAP@5"].tolist() == table["mAP@5"].tolist()


def test_values_of_every_class_are_a_table_of_their_own(tmp_path: Path) -> None:
    ap = {"value": 0.5, "per_class": {"lung": 0.25, "liver": 0.75}, "per_class_ci95": {"lung": [0.125, 0.5]}}
    run = Run("here", ["index=flat"], metrics={"mAP@5": ap, "test/auroc": {"value": 0.9}})
    write_leaderboard(Leaderboard.of([SKIPPED, run]), tmp_path)
    lines = (tmp_path / "leaderboard_classes.csv").read_text().splitlines()
    assert lines == [
        "name,overrides,metric,class,value,low,high",
        "here,index=flat,mAP@5,lung,0.25,0.125,0.5",
        "here,index=flat,mAP@5,liver,0.75,,",
    ]


def test_markdown_ends_with_the_classes_of_the_metric_that_sorts_it(tmp_path: Path) -> None:
    classes = {"lung": 0.25, "liver": 0.75}
    ap = {"value": 0.6, "macro": 0.5, "macro_ci95": [0.25, 0.75], "per_class": classes}
    write_leaderboard(Leaderboard.of([SKIPPED, Run("here", metrics={"mAP@5": ap}), GOOD]), tmp_path)
    *_, heading, _, row = (tmp_path / "leaderboard.md").read_text().splitlines()
    assert heading == "| engine | macro | liver | lung |"
    assert row == "| here | 0.500 [0.250, 0.750] | 0.750 | 0.250 |"


def test_macro_means_and_short_lists_are_columns(tmp_path: Path) -> None:
    ap = {"value": 0.6, "macro": 0.5, "macro_ci95": [0.25, 0.75], "n_short": 3}
    run = Run("here", metrics={"mAP@10": ap, "mAP@5": ap | {"n_short": 1}, "recall@10_vs_exact": {"value": 1.0}})
    board = Leaderboard.of([run, SKIPPED])
    assert board.cut_offs == [5, 10]
    record = board.table().to_dict("records")[0]
    assert [record[f"mAP@5_macro{end}"] for end in ("", "_low", "_high")] == [0.5, 0.25, 0.75]
    assert (record["n_short@5"], record["n_short@10"]) == (1, 3)
    write_leaderboard(board, tmp_path)
    assert "| < 5 hits | < 10 hits |" in (tmp_path / "leaderboard.md").read_text()
    assert "<small>macro 0.500 [0.250, 0.750]</small>" in (tmp_path / "leaderboard.html").read_text()


def test_page_is_one_file_that_escapes_what_it_is_given(tmp_path: Path) -> None:
    evil = Run("<script>alert(1)</script>", metrics=metrics(0.1))
    write_leaderboard(Leaderboard.of([GOOD, evil, SKIPPED]), tmp_path, title="Engines & indexes")
    page = (tmp_path / "leaderboard.html").read_text()
    assert "<script>alert" not in page
    assert "Engines &amp; indexes" in page
    assert "http://" not in page
    assert "https://" not in page
    assert page.count('class="without"') == 1
    assert page.count('class="n best"') == 2  # one best value per metric


def test_page_shows_the_figures_below_the_table(tmp_path: Path) -> None:
    figures = {"mean_time": speed_against_accuracy("top1", {"<a>": (1.0, 0.5)})}
    write_leaderboard(Leaderboard.of([GOOD]), tmp_path, figures=figures)
    page = (tmp_path / "leaderboard.html").read_text()
    assert "<figcaption>mean time</figcaption><svg" in page
    assert "&lt;a&gt;" in page
    assert "http://" not in page


@pytest.mark.parametrize(
    ("others", "label"),
    [
        ([["engine=here", "index=itq_lsh"]], "flat"),
        ([["engine=here", "index=flat", "index.metric=l2", "seed=1"]], "here"),
        ([["engine=sish", "index=flat"]], "here"),
    ],
)
def test_label_is_the_shortest_that_tells_a_run_from_the_others(others: list[list[str]], label: str) -> None:
    runs = [Run(own[0].partition("=")[2], own, metrics=metrics(0.5)) for own in others]
    board = Leaderboard.of([Run("here", ["engine=here", "index=flat"], metrics=metrics(0.7)), *runs])
    assert board.label(board.runs[0]) == label
    assert len({board.label(run) for run in board.runs}) == len(board.runs)


def test_label_names_keys_beside_their_values() -> None:
    runs = [
        Run("here", [f"index.nlist={n}", f"index={i}", f"seed={n}"], metrics=metrics(0.5))
        for n, i in ((1, "a"), (2, "b"))
    ]
    assert [*map(Leaderboard.of(runs).label, runs)] == ["nlist=1, a, seed=1", "nlist=2, b, seed=2"]


def test_page_of_nothing_is_written(tmp_path: Path) -> None:
    write_leaderboard(Leaderboard.of([]), tmp_path)
    assert "0 finished" in (tmp_path / "leaderboard.html").read_text()


def run_folder(folder: Path, status: str | None = "ok") -> Path:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- engine=here\n- index=flat\n")
    (folder / "config.yaml").write_text("engine:\n  name: here\n")
    if status is not None:
        (folder / "status.json").write_text(json.dumps({"status": status, "reason": "" if status == "ok" else "why"}))
    return folder


def test_a_run_is_read_from_its_folder(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "0")
    (folder / "timing.json").write_text('{"search_ms": 2.0}')
    ones = np.array([1, 1])
    judged = Judged(("a1", "b1"), ("a", "b"), np.array([0, 0]), np.array([[0], [1]]), ones, ones * 2, ("x", "y"))
    write_results(folder, judged, protocol(k=[1]))
    run = read_run(folder)
    assert (run.name, run.overrides, run.timing) == ("here", ["engine=here", "index=flat"], {"search_ms": 2.0})
    assert run.config == {"engine": {"name": "here"}}
    assert run.value("mAP@1") == 0.5
    assert run.per_query is not None
    assert run.per_query["mAP@1"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("status", "shown", "reason"),
    [("skipped", "skipped", "why"), (None, "killed", "no metrics.json"), ("ok", "failed", "no metrics.json")],
)
def test_a_folder_without_a_result_says_why(tmp_path: Path, status: str | None, shown: str, reason: str) -> None:
    run = read_run(run_folder(tmp_path / "0", status))
    assert run.status == shown
    assert reason in run.reason
    assert not run.is_done
