from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import CohortError, HistoseekError
from src.eval.judge import NO_LABEL, NOTHING_RELEVANT, judge, judge_by
from src.eval.judged import Judged
from src.eval.metrics import NO_HIT, UNLABELLED
from src.eval.protocols import RetrievalProtocol, Split, patch_table
from src.eval.rankings import DTYPES, load_rankings, save_rankings
from src.eval.variants import chance_top_1
from tests.eval.tables import COHORT, ROWS, answers, protocol, ranking

OWNER = {"slide": "slide_id", "patient": "patient_id"}


def judged_lists(folder: Path, made: RetrievalProtocol, lists: dict[str, list[str]]) -> Judged:
    save_rankings(folder / "rankings.parquet", answers(lists))
    return judge_by(made, load_rankings(folder / "rankings.parquet"), COHORT)


def test_queries_that_cannot_be_judged_are_counted_by_reason(tmp_path: Path) -> None:
    lists = {"a1": ["b1"], "a2": ["b1"], "b1": ["a1"], "c1": ["a1"], "d1": ["a1"]}
    judged = judged_lists(tmp_path, protocol(), lists)
    assert judged.query_ids == ("a1", "a2", "b1")
    assert judged.query_patients == ("a", "a", "b")
    assert judged.dropped == {NO_LABEL: 1, NOTHING_RELEVANT: 1}


def test_the_database_of_a_query_is_counted_without_its_patient(tmp_path: Path) -> None:
    judged = judged_lists(tmp_path, protocol(), {"a1": ["b1"], "b1": ["a1"]})
    assert judged.n_relevant.tolist() == [1, 2]
    assert judged.n_allowed.tolist() == [2, 3]
    assert chance_top_1(judged) == pytest.approx([1 / 2, 2 / 3])


def test_hits_without_a_label_are_removed_before_ranks_are_counted(tmp_path: Path) -> None:
    judged = judged_lists(tmp_path, protocol(), {"a1": ["d1", "c1", "b1"]})
    lung, liver = judged.class_names.index("lung"), judged.class_names.index("liver")
    assert judged.hit_label.tolist() == [[liver, lung]]


def test_hits_without_a_label_can_count_as_wrong(tmp_path: Path) -> None:
    judged = judged_lists(tmp_path, protocol(unlabelled="wrong"), {"a1": ["d1", "c1", "b1"]})
    assert judged.hit_label[0, 0] == UNLABELLED
    assert judged.n_allowed.tolist() == [3]


def test_an_empty_answer_is_judged(tmp_path: Path) -> None:
    judged = judged_lists(tmp_path, protocol(), {"a1": [], "b1": ["a2", "c1"]})
    assert judged.hit_label[0].tolist() == [NO_HIT, NO_HIT]
    assert judged.n_hits.tolist() == [0, 2]


def test_a_hit_that_the_protocol_leaves_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoseekError, match="query a1 found a2, which the protocol leaves out"):
        judged_lists(tmp_path, protocol("patient"), {"a1": ["a2"]})
    assert len(judged_lists(tmp_path, protocol("slide"), {"a1": ["a2"]})) == 1


def test_a_hit_outside_the_database_part_is_refused(tmp_path: Path) -> None:
    split = Split("split", ["query", "test"], ["database", "train"])
    with pytest.raises(HistoseekError, match="query a1 found d1, which the protocol leaves out"):
        judged_lists(tmp_path, protocol(split=split), {"a1": ["b1", "d1"]})


def test_only_the_database_part_is_counted(tmp_path: Path) -> None:
    split = Split("split", ["query"], ["database", "train"])
    judged = judged_lists(tmp_path, protocol(split=split), {"a1": ["b1", "c1"]})
    assert (judged.n_relevant.tolist(), judged.n_allowed.tolist()) == ([1], [2])


def test_an_unknown_hit_is_refused(tmp_path: Path) -> None:
    save_rankings(tmp_path / "rankings.parquet", answers({"a1": ["b1"]}))
    table = load_rankings(tmp_path / "rankings.parquet")
    with pytest.raises(HistoseekError, match="b1 is not in the cohort table"):
        judge_by(protocol(), table, COHORT[COHORT["slide_id"] != "b1"])


def test_when_nothing_can_be_judged_the_reasons_are_counted(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"none of 2 queries can be judged \(1 without a label, 1 without a relevant"):
        judged_lists(tmp_path, protocol(), {"c1": ["a1"], "d1": ["a1"]})


def test_blank_labels_are_no_label() -> None:
    rankings = pd.DataFrame(
        [("a1", "a", 0, "b1", "b1", "b", 0, 0, 0.0, 0.0), ("b1", "b", 0, "a1", "a1", "a", 0, 0, 0.0, 0.0)],
        columns=list(DTYPES),
    )
    labels = pd.Series({"a1": "lung", "a2": " ", "b1": " lung ", "c1": "", "d1": np.nan})
    judged = judge(rankings, protocol().items(COHORT), labels)
    assert judged.class_names == ("lung",)
    assert judged.n_allowed.tolist() == [1, 1]


def test_every_patch_counts_where_patches_are_ranked(tmp_path: Path) -> None:
    made = protocol(unit="patch", leave_out="patch")
    answer = ranking("a1@0,0", ["a1", "b1", "c1"], [(512, 0), (0, 0), (0, 0)])
    save_rankings(tmp_path / "rankings.parquet", [(answer, "a")], unit="patch")
    judged = judge_by(made, load_rankings(tmp_path / "rankings.parquet"), patch_table(ROWS, COHORT))
    assert (judged.n_relevant.tolist(), judged.n_allowed.tolist()) == ([3], [4])
    assert judged.n_hits.tolist() == [3]


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_counts_and_codes_equal_a_plain_loop_over_the_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 12))
    cohort = pd.DataFrame(
        {
            "slide_id": [f"s{i}" for i in range(n)],
            "patient_id": rng.choice(["p", "q", "r"], n),
            "site": rng.choice(["x", "y", ""], n, p=[0.5, 0.3, 0.2]),
        }
    )
    site = dict(zip(cohort["slide_id"], cohort["site"], strict=True))
    owner = dict(zip(cohort["slide_id"], cohort["patient_id"], strict=True))
    allowed = {q: [s for s in site if owner[s] != owner[q]] for q in site}
    ranked = {q: [str(s) for s in rng.permutation(slides)] for q, slides in allowed.items()}
    rows = [
        (q, owner[q], rank, hit, hit, owner[hit], 0, 0, float(rank), -float(rank))
        for q, hits in ranked.items()
        for rank, hit in enumerate(hits)
    ]
    expected = {
        q: [site[hit] for hit in hits if site[hit]]
        for q, hits in ranked.items()
        if site[q] and site[q] in [site[s] for s in allowed[q]]
    }
    made, table = protocol(), pd.DataFrame(rows, columns=list(DTYPES))
    if not expected:
        with pytest.raises(CohortError):
            judge_by(made, table, cohort)
        return
    judged = judge_by(made, table, cohort)
    got = [[judged.class_names[code] for code in row if code != NO_HIT] for row in judged.hit_label]
    assert dict(zip(judged.query_ids, got, strict=True)) == expected
    assert judged.n_allowed.tolist() == [len(hits) for hits in expected.values()]
    assert judged.n_relevant.tolist() == [hits.count(site[q]) for q, hits in expected.items()]


def test_a_hit_of_another_site_is_refused_in_vertical_search(tmp_path: Path) -> None:
    made = replace(protocol(), within="site")
    with pytest.raises(HistoseekError, match="query a1 found c1, which the protocol leaves out"):
        judged_lists(tmp_path, made, {"a1": ["b1", "c1"]})


def test_a_patient_counts_once_by_its_first_hit(tmp_path: Path) -> None:
    made = replace(protocol(), aggregate="patient")
    judged = judged_lists(tmp_path, made, {"b1": ["c1", "a2", "a1"]})
    lung, liver = judged.class_names.index("lung"), judged.class_names.index("liver")
    assert judged.hit_label.tolist() == [[liver, lung]]
    assert (judged.n_relevant.tolist(), judged.n_allowed.tolist()) == ([1], [2])


@given(st.integers(0, 2**32), st.sampled_from(["slide", "patient"]), st.sampled_from(["slide", "patient", "grade"]))
@settings(max_examples=60, deadline=None)
def test_answers_are_counted_as_a_plain_loop_counts_them(seed: int, leave_out: str, aggregate: str) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 14))
    cohort = pd.DataFrame(
        {
            "slide_id": [f"s{i:02d}" for i in range(n)],
            "patient_id": rng.choice(["p", "q", "r", "t"], n),
            "site": rng.choice(["x", "y"], n),
            "organ": rng.choice(np.array(["skin", "lung", None]), n, p=[0.5, 0.4, 0.1]),
            "grade": rng.choice(["1", "2", "3"], n),
        }
    )
    made = replace(protocol(leave_out=leave_out), within="organ", aggregate=aggregate)
    slides = [{str(key): value for key, value in record.items()} for record in cohort.to_dict("records")]
    records, counts, lists = [], {}, {}
    for query in slides:
        owner, answer_of = (OWNER.get(name, name) for name in (leave_out, aggregate))
        allowed = [s for s in slides if s["organ"] == query["organ"] is not None and s[owner] != query[owner]]
        relevant = {slide[answer_of] for slide in allowed if slide["site"] == query["site"]}
        ranked = [allowed[place] for place in rng.permutation(len(allowed))]
        first = {slide[answer_of]: slide["site"] for slide in reversed(ranked)}
        if relevant:
            counts[query["slide_id"]] = (len(relevant), len(first))
            lists[query["slide_id"]] = [first[name] for name in dict.fromkeys(slide[answer_of] for slide in ranked)]
        hits = [(rank, hit["slide_id"], hit["slide_id"], hit["patient_id"]) for rank, hit in enumerate(ranked)]
        asked = query["slide_id"], query["patient_id"]
        records += [(*asked, *hit, 0, 0, float(hit[0]), -float(hit[0])) for hit in hits or [(-1, "", "", "")]]
    table = pd.DataFrame(records, columns=list(DTYPES))
    if not counts:
        with pytest.raises(CohortError):
            judge_by(made, table, cohort)
        return
    judged = judge_by(made, table, cohort)
    got = zip(judged.n_relevant.tolist(), judged.n_allowed.tolist(), strict=True)
    assert dict(zip(judged.query_ids, got, strict=True)) == counts
    names = [[judged.class_names[code] for code in row if code != NO_HIT] for row in judged.hit_label]
    assert dict(zip(judged.query_ids, names, strict=True)) == lists


@pytest.mark.real
@pytest.mark.parametrize(
    ("label", "n_queries", "chance"), [("site", 27, 0.044), ("structure", 42, 0.071), ("cytoplasm", 47, 0.228)]
)
def test_here101_has_the_published_queries_and_chance(
    real_dir: Path, label: str, n_queries: int, chance: float
) -> None:
    manifest = pd.read_excel(real_dir / "here101" / "manifest.xlsx", dtype=str)
    case = manifest["query"].str.split("-").str[0]
    cohort = pd.DataFrame({"slide_id": manifest["query"], "patient_id": case, label: manifest[label]})
    rankings = pd.DataFrame({"query_id": manifest["query"], "query_patient": case, "rank": -1, "hit_id": ""})
    judged = judge_by(protocol(label=label), rankings, cohort)
    assert len(judged) == n_queries
    assert chance_top_1(judged).mean() == pytest.approx(chance, abs=5e-4)
