from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import HistoseekError
from src.eval.rankings import DTYPES, load_rankings, save_rankings
from tests.eval.tables import COHORT, answers, ranking


@given(st.dictionaries(st.sampled_from(["a1", "b1", "c1"]), st.permutations(list(COHORT["slide_id"])), min_size=1))
@settings(max_examples=25)
def test_what_is_saved_comes_back(tmp_path_factory: pytest.TempPathFactory, lists: dict[str, list[str]]) -> None:
    path = tmp_path_factory.mktemp("rankings") / "rankings.parquet"
    save_rankings(path, answers(lists))
    table = load_rankings(path)
    assert list(table.columns) == list(DTYPES)
    assert {query: hits["hit_id"].tolist() for query, hits in table.groupby("query_id")} == lists
    assert (table["score"] == -table["rank"]).all()


def test_a_query_without_hits_is_not_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "rankings.parquet"
    save_rankings(path, answers({"a1": [], "b1": ["c1"]}))
    table = load_rankings(path).set_index("query_id")
    assert table.loc["a1", "rank"] == -1
    assert table.loc["a1", "hit_id"] == ""
    assert table.loc["b1", "hit_id"] == "c1"


def test_a_run_whose_queries_all_come_back_empty_is_a_table_too(tmp_path: Path) -> None:
    save_rankings(tmp_path / "rankings.parquet", answers({"a1": [], "b1": []}))
    assert len(load_rankings(tmp_path / "rankings.parquet")) == 2


def test_patches_are_named_by_slide_and_corner(tmp_path: Path) -> None:
    path = tmp_path / "rankings.parquet"
    save_rankings(path, [(ranking("a1@0,0", ["b1", "b1"], [(0, 0), (512, 64)]), "a")], unit="patch")
    table = load_rankings(path)
    assert table["hit_id"].tolist() == ["b1@0,0", "b1@512,64"]
    assert table["hit_slide"].tolist() == ["b1", "b1"]


def test_the_same_slide_twice_in_one_answer_is_refused(tmp_path: Path) -> None:
    twice = ranking("a1", ["b1", "b1"], [(0, 0), (512, 0)])
    with pytest.raises(HistoseekError, match="query a1 has the same hit twice"):
        save_rankings(tmp_path / "rankings.parquet", [(twice, "a")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("second", [["c1"], []])
def test_the_same_query_twice_is_refused(tmp_path: Path, second: list[str]) -> None:
    with pytest.raises(HistoseekError, match="query a1 stands twice"):
        save_rankings(tmp_path / "rankings.parquet", [*answers({"a1": ["b1"]}), *answers({"a1": second})])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("score", [0.0, 1.0], "scores that rise"),
        ("score", [1.0, float("nan")], "score or distance is NaN"),
        ("rank", [0, 2], "ranks are not 0, 1, 2"),
    ],
)
def test_a_changed_table_is_refused(tmp_path: Path, column: str, values: list[float], message: str) -> None:
    path = tmp_path / "rankings.parquet"
    save_rankings(path, answers({"a1": ["b1", "c1"]}))
    pd.read_parquet(path).assign(**{column: values}).to_parquet(path)
    with pytest.raises(HistoseekError, match=message):
        load_rankings(path)


def test_a_file_that_is_no_rankings_table_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "rankings.parquet"
    with pytest.raises(HistoseekError, match="not a readable rankings table"):
        load_rankings(path)
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(HistoseekError, match=r"^[^\n]*not a readable rankings table[^\n]*$"):
        load_rankings(path)
    pd.DataFrame({"query_id": ["a1"]}).to_parquet(path)
    with pytest.raises(HistoseekError, match="column 'query_patient' is missing"):
        load_rankings(path)
