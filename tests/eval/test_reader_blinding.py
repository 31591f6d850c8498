from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from src.errors import ConfigError
from src.eval.reader_study.blinding import KEY_DTYPES, blind
from src.eval.reader_study.study import Study, load_study, save_study
from tests.eval.report_data import ranked

QUERIES = [f"q{number}" for number in range(12)]


def rankings(methods: str = "xyz", n_hits: int = 7) -> dict[str, pd.DataFrame]:
    """Each method finds slides of its own name."""
    return {
        method: pd.concat([ranked(query, [f"{method}{hit}" for hit in range(n_hits)]) for query in QUERIES])
        for method in methods
    }


def test_every_query_shows_the_first_five_slides_of_every_method() -> None:
    key = blind(rankings())
    assert list(key.columns) == list(KEY_DTYPES)
    for (_, method), hits in key.groupby(["query_id", "method"]):
        assert hits["hit_slide"].tolist() == [f"{method}{hit}" for hit in range(5)]
        assert hits["place"].tolist() == [1, 2, 3, 4, 5]
        assert hits["answer"].nunique() == 1


def test_letters_stand_for_other_methods_in_other_queries_and_follow_the_seed() -> None:
    key = blind(rankings(), seed=3)
    assert key.groupby("answer")["method"].nunique().tolist() == [3, 3, 3]
    pd.testing.assert_frame_equal(key, blind(rankings(), seed=3))
    assert key["method"].tolist() != blind(rankings(), seed=4)["method"].tolist()


def test_an_answer_is_one_item_or_each_hit_is() -> None:
    assert blind(rankings(), "answers")["item"].nunique() == 12 * 3
    assert blind(rankings(), "hits")["item"].is_unique


def test_items_of_two_studies_have_no_name_in_common() -> None:
    assert not set(blind(rankings(), seed=0)["item"]) & set(blind(rankings(), seed=1)["item"])


def test_a_slide_with_several_patches_is_shown_once_by_the_nearest() -> None:
    patches = ranked("q0", ["a", "a", "b"]).assign(x=[10, 20, 30], distance=[0.2, 0.1, 0.3])
    key = blind({"patches": patches, "slides": ranked("q0", ["a"])})
    assert key[key["method"] == "patches"][["hit_slide", "x", "place"]].to_numpy().tolist() == [
        ["a", 20, 1],
        ["b", 30, 2],
    ]


def test_only_queries_of_all_methods_are_shown_and_a_draw_is_seeded() -> None:
    some = rankings("xy")
    some["y"] = some["y"][some["y"]["query_id"] != "q5"]
    assert "q5" not in set(blind(some)["query_id"])
    drawn = [blind(some, n_queries=4, seed=seed)["query_id"].unique().tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 4


def test_a_query_without_a_hit_of_a_method_keeps_the_others() -> None:
    nothing = ranked("q0", [""]).assign(rank=-1, hit_slide="")
    key = blind({"empty": nothing, "full": ranked("q0", ["a"])})
    assert key["method"].tolist() == ["full"]


@pytest.mark.parametrize(
    ("methods", "options", "said"),
    [("x", {}, "2 to 26"), ("xy", {"n_hits": 0}, "n_hits is 0"), ("xy", {"n_queries": 0}, "n_queries is 0")],
)
def test_what_makes_no_study_is_refused(methods: str, options: dict[str, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        blind(rankings(methods), "answers", **options)


def test_methods_without_a_common_query_are_refused() -> None:
    with pytest.raises(ConfigError, match="no query was asked"):
        blind({"a": ranked("q1", ["s"]), "b": ranked("q2", ["s"])})


def test_a_study_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    study = Study(blind(rankings(), "hits"), "hits", ("structure", "cell type"), {"cohort": "toy"})
    save_study(tmp_path, study)
    read = load_study(tmp_path)
    pd.testing.assert_frame_equal(read.key, study.key)
    assert (read.rated, read.aspects, read.facts, read.name) == (study.rated, study.aspects, study.facts, study.name)
    assert len(read.items) == len(study.key)
