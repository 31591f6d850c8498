from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.eval.figures import per_class_bars
from src.eval.report.agreement import first_hit_confusion, label_hits, mean_precision_at_rank
from src.eval.report.gallery import choose_examples
from src.eval.report.protocol import ProtocolReport, write_protocol_report
from src.interfaces import Image
from tests.eval.report_data import HOSTILE, Page, assert_needs_nothing_beside_it, noise, protocol_report, ranked

LABELS = {"a1": "A", "a2": "A", "b1": "B", "b2": "B", "none": "", "missing": None}


def toy_rankings() -> pd.DataFrame:
    return pd.concat(
        [
            ranked("a1", ["none", "a2", "b1", "b2"]),
            ranked("a2", ["b1", "missing", "a1", "b2"]),
            ranked("b1", ["b2", "a1", "a2"]),
            ranked("b2", ["a1", "a2", "b1"]),
        ],
        ignore_index=True,
    )


def many_rankings(n_queries: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Query q has q % 6 right hits, and they come first."""
    labels = (
        {f"q{q}": "A" for q in range(n_queries)} | {f"r{i}": "A" for i in range(5)} | {f"w{i}": "B" for i in range(5)}
    )
    hits = [[f"r{i}" for i in range(q % 6)] + [f"w{i}" for i in range(5 - q % 6)] for q in range(n_queries)]
    return pd.concat([ranked(f"q{q}", hits[q]) for q in range(n_queries)], ignore_index=True), labels


def html_of(report: ProtocolReport, tmp_path: Path) -> str:
    path = tmp_path / "report.html"
    write_protocol_report(path, report)
    return path.read_text(encoding="utf-8")


def test_hits_without_label_are_left_out_before_ranks_are_counted() -> None:
    hits = label_hits(toy_rankings(), pd.Series(LABELS), ["a1", "a2"])
    assert hits[hits["query_id"] == "a1"]["is_right"].tolist() == [True, False, False]
    assert hits[hits["query_id"] == "a2"]["rank"].tolist() == [0, 1, 2]


def test_hits_without_label_can_stay_and_be_wrong() -> None:
    hits = label_hits(toy_rankings(), pd.Series(LABELS), ["a1"], unlabelled="wrong")
    assert hits["is_right"].tolist() == [False, True, False, False]


def test_hits_that_count_as_one_answer_are_shown_by_their_first() -> None:
    answer_of = {"a1": "p", "a2": "q", "b1": "q", "b2": "r", "none": "q"}
    hits = label_hits(toy_rankings(), pd.Series(LABELS), ["a1"], answer_of=answer_of)
    assert hits["hit_slide"].tolist() == ["a2", "b2"]
    assert hits["rank"].tolist() == [0, 1]


def test_query_without_any_hit_is_not_taken_for_a_hit() -> None:
    nothing = ranked("a1", [""]).assign(rank=-1)
    assert label_hits(nothing, pd.Series(LABELS), ["a1"], unlabelled="wrong").empty


def test_query_that_is_a_patch_has_the_label_of_its_slide() -> None:
    hits = label_hits(ranked("a1@0,256", ["a2", "b1"]), pd.Series(LABELS), ["a1@0,256"])
    assert hits["is_right"].tolist() == [True, False]


def test_confusion_counts_first_hits() -> None:
    counts, names = first_hit_confusion(label_hits(toy_rankings(), pd.Series(LABELS), ["a1", "a2", "b1", "b2"]))
    assert names == ["A", "B"]
    assert counts.tolist() == [[1, 1], [1, 1]]


def test_precision_at_rank_equals_a_plain_loop() -> None:
    rankings, labels = many_rankings(17)
    hits = label_hits(rankings, pd.Series(labels), rankings["query_id"].unique())
    expected = [np.mean([min(q % 6, k) / k for q in range(17)]) for k in range(1, 8)]
    np.testing.assert_allclose(mean_precision_at_rank(hits, 17, deepest=7), expected)


def test_examples_are_best_worst_and_random_and_none_twice() -> None:
    rankings, labels = many_rankings(24)
    hits = label_hits(rankings, pd.Series(labels), rankings["query_id"].unique())
    examples = choose_examples(hits, lambda _: noise(8), seed=0)
    assert [example.kind for example in examples] == ["best"] * 4 + ["worst"] * 4 + ["random"] * 4
    assert [example.n_right for example in examples[:8]] == [5] * 4 + [0] * 4
    assert len({example.query_id for example in examples}) == 12


def test_earlier_right_hits_make_a_better_example() -> None:
    rankings = pd.concat([ranked("a1", ["b1", "a2"]), ranked("b2", ["b1", "a2"])], ignore_index=True)
    best, worst = choose_examples(label_hits(rankings, pd.Series(LABELS), ["a1", "b2"]), lambda _: noise(8), seed=0)
    assert (best.query_id, worst.query_id) == ("b2", "a1")


def test_same_seed_gives_the_same_page(tmp_path: Path) -> None:
    rankings, labels = many_rankings(40)
    pages = [html_of(protocol_report(rankings, labels, seed=seed), tmp_path) for seed in (3, 3, 4)]
    assert pages[0] == pages[1]
    assert pages[0] != pages[2]


def test_page_shows_metrics_chance_classes_counts_config_and_links(tmp_path: Path) -> None:
    page = Page(html_of(protocol_report(toy_rankings(), LABELS), tmp_path))
    for text in (
        "mAP@5",
        "0.300 to 0.700",
        "chance 0.250",
        "without label",
        "engine: patch_flat",
        "best · 1 of 3 right",
    ):
        assert text in page.text
    assert page.text.count("chance 0.250") == 1
    assert page.values("href")[0] == "rankings.parquet"
    assert len(page.of("svg")) == 2


def test_right_and_wrong_hits_are_framed_apart(tmp_path: Path) -> None:
    page = Page(html_of(protocol_report(toy_rankings(), LABELS), tmp_path))
    frames = [frame["class"].split()[-1] for frame in page.with_class("frame")]
    assert (frames.count("good"), frames.count("bad")) == (4, 8)


def test_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    more = {"bars": per_class_bars("top1", {HOSTILE: 0.5})}
    html = html_of(protocol_report(toy_rankings(), LABELS, more_figures=more), tmp_path)
    assert_needs_nothing_beside_it(html)
    identifiers = Page(html).values("id")
    assert len(identifiers) == len(set(identifiers))


def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    labels = {name: label and f"{HOSTILE}{label}" for name, label in LABELS.items()}
    changes = {"title": HOSTILE, "facts": {HOSTILE: HOSTILE}, "config": HOSTILE, "links": {HOSTILE: "a b\"'.csv"}}
    html = html_of(protocol_report(toy_rankings(), labels, **changes), tmp_path)
    assert_needs_nothing_beside_it(html)
    assert f"{HOSTILE}A" in Page(html).text
    assert Page(html).values("href")[0] == "a%20b%22%27.csv"


def test_thumbnail_that_cannot_be_read_is_a_grey_tile(tmp_path: Path) -> None:
    def broken(slide_id: str) -> Image:
        raise OSError(f"{slide_id}: gone")

    page = Page(html_of(protocol_report(toy_rankings(), LABELS, thumbnail=broken), tmp_path))
    assert len(set(page.values("src"))) == 1
    assert len(page.of("img")) == 4 + 12


def test_slide_is_asked_for_its_thumbnail_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def thumbnail(slide_id: str) -> Image:
        asked.append(slide_id)
        return noise(8)

    html_of(protocol_report(toy_rankings(), LABELS, thumbnail=thumbnail), tmp_path)
    assert sorted(asked) == ["a1", "a2", "b1", "b2"]


def test_no_judged_query_still_gives_a_page(tmp_path: Path) -> None:
    empty = toy_rankings().iloc[:0]
    report = protocol_report(
        empty,
        LABELS,
        metrics={
            "top1": {"value": None, "macro": float("nan"), "ci95": None, "n_queries": 0, "n_short": 0, "per_class": {}}
        },
    )
    page = Page(html_of(report, tmp_path))
    assert "0 queries judged" in page.text
    assert not page.of("img", "svg")


def test_twelve_examples_with_large_thumbnails_stay_below_six_megabytes(tmp_path: Path) -> None:
    rankings, labels = many_rankings(40)
    assert len(html_of(protocol_report(rankings, labels, thumbnail=lambda _: noise(600)), tmp_path)) < 6e6


@pytest.mark.parametrize("name", ["/etc/passwd", "../other.csv", "javascript:alert(1)"])
def test_link_out_of_the_run_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out of the run's folder"):
        protocol_report(toy_rankings(), LABELS, links={"file": name})


def test_unknown_headline_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no metric \['mMV'\].*'top1', 'mAP@5'"):
        protocol_report(toy_rankings(), LABELS, headlines=["mMV"])
