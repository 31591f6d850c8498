from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from src.errors import ConfigError
from src.eval.reader_study.blinding import Rated, blind
from src.eval.reader_study.results import evaluate, write_results
from src.eval.reader_study.scores import agreement, comparisons, shares, unblind
from src.eval.reader_study.sheets import Sheet
from src.eval.reader_study.study import Study
from tests.eval.report_data import assert_needs_nothing_beside_it, ranked

N_QUERIES = 30


def study(rated: Rated = "answers", aspects: tuple[str, ...] = ("overall",), methods: str = "xyz") -> Study:
    found = {
        method: pd.concat(
            [
                ranked(f"q{q}", [f"s{hit}" for hit in range(5)]).assign(query_patient=f"p{q // 2}")
                for q in range(N_QUERIES)
            ]
        )
        for method in methods
    }
    return Study(blind(found, rated), rated, aspects, {"cohort": "toy"})


def sheet(of: Study, reader: str, seed: int, better: str = "", by: float = 1.5) -> Sheet:
    """Random scores; those of the method `better` are higher."""
    rng = np.random.default_rng(seed)
    mean = 2.5 + by * (of.items["method"] == better).to_numpy()[:, None]
    scores = np.clip(np.rint(rng.normal(mean, 0.8, (len(mean), len(of.aspects)))), 1, 5)
    return Sheet(reader, pd.DataFrame(scores, index=of.items["item"], columns=list(of.aspects)), (), ())


def with_gap(of: Sheet, item: str) -> Sheet:
    scores = of.scores.copy()
    scores.loc[item] = np.nan
    return Sheet(of.reader, scores, (), ("gap",))


def test_score_of_an_item_is_the_median_of_its_readers() -> None:
    of = study()
    sheets = [sheet(of, name, seed) for seed, name in enumerate("abc")]
    scores = unblind(of.items, sheets)
    np.testing.assert_array_equal(scores["score"], np.median([s.scores["overall"] for s in sheets], axis=0))
    assert scores["method"].tolist() == of.items["method"].tolist()


def test_an_item_that_one_reader_left_out_has_no_score() -> None:
    of = study()
    item = of.items["item"][4]
    scores = unblind(of.items, [sheet(of, "a", 0), with_gap(sheet(of, "b", 1), item)])
    assert scores["item"][scores["score"].isna()].tolist() == [item]


def test_wilcoxon_is_scipys_over_queries() -> None:
    scores = unblind(study().items, [sheet(study(), "a", 0, better="y", by=0.5)])
    found = comparisons(scores).set_index(["method_a", "method_b"])
    by_method = scores.pivot(index="query_id", columns="method", values="score")
    for a, b in (("x", "y"), ("x", "z"), ("y", "z")):
        expected = stats.wilcoxon(by_method[a], by_method[b]).pvalue
        assert found.loc[(a, b), "wilcoxon_p"] == pytest.approx(expected, rel=1e-12)
        assert found.loc[(a, b), "mean_difference"] == pytest.approx((by_method[a] - by_method[b]).mean())
        assert found.loc[(a, b), "n_queries"] == N_QUERIES


def test_hits_are_paired_per_query_over_the_places_that_both_methods_have() -> None:
    of = study("hits", methods="xy")
    first = of.items[(of.items["method"] == "x") & (of.items["query_id"] == "q3")]["item"].iloc[0]
    scores = unblind(of.items, [with_gap(sheet(of, "a", 0), first)])
    both = scores.pivot(index=["query_id", "place"], columns="method", values="score").dropna()
    assert len(both) == 5 * N_QUERIES - 1
    means = both.groupby(level="query_id").mean()
    row = comparisons(scores).iloc[0]
    assert row["n_queries"] == N_QUERIES
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(means["x"], means["y"]).pvalue, rel=1e-12)


def test_the_method_that_was_made_better_wins_and_only_it() -> None:
    of = study(aspects=("structure", "cytoplasm"))
    scores = unblind(of.items, [sheet(of, name, seed, better="y") for seed, name in enumerate("abc")])
    found = comparisons(scores)
    has_y = (found["method_a"] == "y") | (found["method_b"] == "y")
    assert (found[has_y][["wilcoxon_holm", "patient_p"]] < 1e-3).all(axis=None)
    assert (found[~has_y][["wilcoxon_holm", "patient_p"]] > 0.05).all(axis=None)
    best = shares(scores).groupby("aspect")["share_4_or_5"].idxmax()
    assert shares(scores).loc[best, "method"].tolist() == ["y", "y"]


def test_methods_that_are_scored_alike_do_not_differ() -> None:
    of = study(methods="xy")
    same = Sheet("a", pd.DataFrame({"overall": 3.0}, index=of.items["item"]), (), ())
    row = comparisons(unblind(of.items, [same])).iloc[0]
    assert (row["wilcoxon_p"], row["wilcoxon_holm"], row["patient_p"], row["mean_difference"]) == (1, 1, 1, 0)


def test_a_reference_is_compared_with_each_other_method() -> None:
    scores = unblind(study().items, [sheet(study(), "a", 0)])
    found = comparisons(scores, "z")
    assert found[["method_a", "method_b"]].to_numpy().tolist() == [["z", "x"], ["z", "y"]]
    with pytest.raises(ConfigError, match="it has x, y, z"):
        comparisons(scores, "w")


def test_shares_count_the_scores_of_each_method() -> None:
    of = study(methods="xy")
    given = dict(zip("xy", ([5.0] * 3 + [4.0] * 6 + [1.0] * 21, [2.0] * 30), strict=True))
    scores = pd.Series([given[method].pop() for method in of.items["method"]])
    row = shares(
        unblind(of.items, [Sheet("a", pd.DataFrame({"overall": scores.to_numpy()}, of.items["item"]), (), ())])
    )
    assert row["share_5"].tolist() == [0.1, 0.0]
    assert row["share_4"].tolist() == [0.2, 0.0]
    assert row["share_4_or_5"].tolist() == pytest.approx([0.3, 0.0])
    assert row["low"][0] < 0.3 < row["high"][0]


def test_agreement_is_pearsons_over_items_that_both_readers_scored() -> None:
    of = study()
    sheets = [sheet(of, "a", 0, "x"), with_gap(sheet(of, "b", 1, "x"), of.items["item"][0]), sheet(of, "c", 2)]
    found = agreement(unblind(of.items, sheets), ["a", "b", "c"]).set_index(["reader_a", "reader_b"])
    a, b = sheets[0].scores["overall"][1:], sheets[1].scores["overall"][1:]
    assert found.loc[("a", "b"), "pearson_r"] == pytest.approx(stats.pearsonr(a, b).statistic, rel=1e-12)
    assert found["n_items"].tolist() == [89, 90, 89]


def test_a_reader_who_never_varies_agrees_with_nobody() -> None:
    of = study()
    same = Sheet("b", pd.DataFrame({"overall": 3.0}, index=of.items["item"]), (), ())
    assert np.isnan(agreement(unblind(of.items, [sheet(of, "a", 0), same]), ["a", "b"])["pearson_r"][0])


def test_readers_need_names_of_their_own() -> None:
    of = study()
    for names in (("a", "a"), ("a", "method"), ("a", "score")):
        with pytest.raises(ConfigError, match="no reader can be called"):
            unblind(of.items, [sheet(of, name, 0) for name in names])


def test_results_are_written_as_tables_figures_and_a_page_of_its_own(tmp_path: Path) -> None:
    of = study(aspects=("cell type", "overall"))
    gap = with_gap(sheet(of, "ann", 1), of.items["item"][0])
    results = evaluate(of, [sheet(of, "bob", 0, better="x"), gap])
    write_results(tmp_path, results)
    assert results.n_left_out == 2
    assert {path.name for path in tmp_path.iterdir()} == {
        *("scores.csv", "results.json", "report.html", "boxes-cell_type.png", "boxes-overall.png")
    }
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 2 * len(of.items)
    said = json.loads((tmp_path / "results.json").read_text())
    assert [len(said[name]) for name in ("shares", "comparisons", "agreement", "gaps")] == [6, 6, 2, 1]
    assert_needs_nothing_beside_it((tmp_path / "report.html").read_text())


def test_one_reader_is_enough(tmp_path: Path) -> None:
    of = study()
    write_results(tmp_path, evaluate(of, [sheet(of, "ann", 0)]))
    assert "Agreement" not in (tmp_path / "report.html").read_text()
