"""The ranking of SISH: by hand, and as the official code answered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from src.errors import ConfigError
from src.index.rankers.uncertain_bag import class_shares
from src.index.rankers.weighted_uncertainty import WeightedUncertainty, cleaned, set_aside
from src.interfaces import Neighbours, Ranker, Rows
from tests.index.test_rankers import found, rows_of

DEFAULTS: dict[str, Any] = {
    **{"label": "organ", "weight_sum": 10.0, "round_up_weights": False, "lost_slide_fix": False, "class_counts": None}
}
MISSING = (-1, np.inf)


def ranking(**settings: Any) -> WeightedUncertainty:
    return WeightedUncertainty(**{**DEFAULTS, **settings})


def rows_with(labels: dict[str, str | None], slides: Sequence[str] | None = None) -> Rows:
    rows = rows_of(list(slides or labels))
    return replace(rows, labels={"organ": tuple(labels[slide] for slide in rows.slide_ids)})


def names(neighbours: Neighbours, rows: Rows, k: int = 9, **settings: Any) -> list[str]:
    return [hit.slide_id for hit in ranking(**settings).rank("q", neighbours, rows, k)]


def test_ranking_keeps_its_protocol() -> None:
    assert isinstance(ranking(), Ranker)


def test_certain_bags_come_first_whatever_their_distance() -> None:
    rows = rows_with({"a": "lung", "b": "lung", "c": "brain"})
    mixed, pure = [(0, 10.0), (2, 12.0)], [(1, 11.0), MISSING]
    hits = ranking().rank("q", found(mixed, pure), rows, k=9).hits
    assert [(hit.slide_id, hit.distance) for hit in hits] == [("b", 11.0), ("a", 10.0)]
    assert hits[0].score == 0 > hits[1].score


def test_a_bag_of_several_classes_names_near_slides_only() -> None:
    rows = rows_with({"a": "lung", "b": "lung", "c": "brain"})
    assert names(found([(0, 10.0), (2, 12.0)]), rows) == ["a"], "the threshold is 11"
    assert names(found([(0, 10.0), (1, 12.0)]), rows) == ["a", "b"], "a certain bag names all of its slides"


def test_a_voter_of_another_class_is_set_aside_and_its_slides_are_lost() -> None:
    rows = rows_with({"a": "lung", "b": "brain", "c": "lung", "d": "brain"})
    bags = [(3, 5.0), MISSING], [(0, 5.0), (3, 5.0)], [(0, 5.0), (2, 5.0)]
    assert names(found(*bags), rows) == ["a", "c"]
    both = [(3, 5.0), MISSING], [(0, 5.0), (2, 5.0)], [(2, 5.0), (3, 5.0)]
    assert names(found(*both), rows, lost_slide_fix=True) == ["a", "c", "d"]
    assert names(found(*both), rows) == ["a", "c"], "d was claimed by the bag that was set aside"


def test_rare_classes_weigh_more() -> None:
    rows = rows_with({"a": "lung", "b": "lung", "c": "lung", "d": "brain"})
    (bag,) = ranking().bags(found([(0, 1.0), (3, 2.0)]), rows)
    assert bag.shares == pytest.approx({1: 2.5 / 6.25, 0: 3.75 / 6.25})
    (bag,) = ranking(class_counts={"lung": 1, "brain": 1}).bags(found([(0, 1.0), (3, 2.0)]), rows)
    assert bag.shares == pytest.approx({1: 2 / 3, 0: 1 / 3})


def test_rounding_up_lifts_sums_below_one() -> None:
    weights = np.array([4.0, 1.5])
    assert class_shares(np.array([0, 1]), weights, round_up=False) == pytest.approx({0: 4 / 4.75, 1: 0.75 / 4.75})
    assert class_shares(np.array([0, 1]), weights, round_up=True) == pytest.approx({0: 0.8, 1: 0.2})


def test_very_small_and_very_large_bags_are_dropped_where_sizes_differ() -> None:
    rows = rows_with({f"s{i}": "lung" for i in range(9)})
    sizes = [1, 3, 3, 4, 5, 9]
    bags = [[(row, 5.0) for row in range(size)] + [MISSING] * (9 - size) for size in sizes]
    kept, threshold = cleaned(ranking().bags(found(*bags), rows))
    assert [len(bag) for bag in kept] == [3, 3, 4, 5]
    assert threshold == 5.0
    kept, _ = cleaned(ranking().bags(found(*(bags[i] for i in (0, 1, 5))), rows))
    assert [len(bag) for bag in kept] == [1, 3, 9], "three sizes are few"


def test_far_bags_are_dropped() -> None:
    rows = rows_with({"a": "lung", "b": "lung"})
    assert names(found([(0, 10.0)], [(1, 20.0)]), rows) == ["a"]


def test_where_no_voter_stands_for_the_winner_the_next_class_wins() -> None:
    rows = rows_with({"a": "lung", "b": "brain", "c": "skin"})
    a, b, c = 0, 1, 2
    bags = [(a, 1.0), (c, 1.0), (c, 1.0)], [(b, 1.0), (c, 1.0), (c, 1.0)], [(a, 1.0), (c, 1.0), (c, 1.0)]
    voters = ranking().bags(found(*bags), rows)
    assert [bag.majority for bag in voters] == [1, 0, 1], "none is of skin, which has the most votes"
    assert set_aside(voters) == {1}


def test_a_query_that_finds_nothing_has_no_answer() -> None:
    rows = rows_with({"a": "lung", "b": None})
    assert names(found([MISSING], [MISSING]), rows) == []
    assert names(found([(1, 3.0)]), rows) == [], "a slide without a label is no answer"


def test_a_missing_label_column_is_named() -> None:
    with pytest.raises(ConfigError, match="weighted_uncertainty: weighs label 'grade', the database has organ"):
        names(found([(0, 1.0)]), rows_with({"a": "lung"}), label="grade")


def test_counts_must_name_every_class() -> None:
    with pytest.raises(ConfigError, match="class_counts has no 'lung', a organ of the database"):
        names(found([(0, 1.0)]), rows_with({"a": "lung"}), class_counts={"brain": 2})
    with pytest.raises(ConfigError, match="weight_sum is 0"):
        ranking(weight_sum=0.0)


class Recorded(NamedTuple):
    """A recorded set of queries as bags of database rows."""

    rows: Rows
    bags: dict[str, list[list[tuple[int, float]]]]
    results: dict[str, Any]
    query_label: dict[str, str]


def recorded(folder: Path, name: str) -> Recorded:
    everything = json.loads((folder / "g4_sish_ranking.json").read_text())
    label = "site" if name.endswith("organ") else "diagnosis"
    of = _synthetic(everything["synthetic_input"], label) if name.startswith("synthetic") else _of_g3(folder, label)
    return Recorded(*of[:2], everything[name], of[2])


def _synthetic(queries: dict[str, Any], label: str) -> tuple[Rows, dict[str, Any], dict[str, str]]:
    column = {"diagnosis": 2, "site": 3}[label]
    entries = [hit for query in queries.values() for bag in query["bags"] for hit in bag]
    labels = {hit[0]: hit[column] for hit in entries}
    place = iter(range(len(entries)))
    bags = {name: [[(next(place), hit[1]) for hit in bag] for bag in query["bags"]] for name, query in queries.items()}
    own = {name: query["site" if label == "site" else "label"] for name, query in queries.items()}
    return _rows([hit[0] for hit in entries], labels), bags, own


def _of_g3(folder: Path, label: str) -> tuple[Rows, dict[str, Any], dict[str, str]]:
    with np.load(folder / "g3_sish_query.npz", allow_pickle=False) as file:
        db = {name: file[name] for name in file}
    slides = db["slide_name"].tolist()
    labels = dict(zip(slides, db[f"slide_{label}"].tolist(), strict=True))
    bags: dict[str, Any] = {name: [] for name in slides}
    for query, slide in enumerate(db["query_slide"].tolist()):
        found_ = slice(*db["res_offset"][query : query + 2])
        pairs = zip(db["res_entry"][found_].tolist(), db["res_hamming"][found_].tolist(), strict=True)
        bags[slides[slide]].append(list(pairs))
    return _rows([slides[slide] for slide in db["db_slide"].tolist()], labels), bags, labels


def _rows(slides: list[str], labels: dict[str, str]) -> Rows:
    return rows_with(dict(labels), slides)


def neighbours_of(bags: list[list[tuple[int, float]]]) -> Neighbours:
    width = max(map(len, bags), default=0) or 1
    return found(*([*bag, *[MISSING] * (width - len(bag))] for bag in bags))


def finals(case: Recorded, class_counts: Counter[str], asked: Sequence[str]) -> list[list[list[Any]]]:
    """Slide, distance and label of the hits of each query."""
    ranker, labels = ranking(class_counts=class_counts), case.rows.labels["organ"]
    label_of = dict(zip(case.rows.slide_ids, labels, strict=True))
    answers = [ranker.rank(name, neighbours_of(case.bags[name]), case.rows, case.results["topk"]) for name in asked]
    return [[[hit.slide_id, hit.distance, label_of[hit.slide_id]] for hit in answer] for answer in answers]


RECORDINGS = pytest.mark.parametrize("name", ["g3_subtype", "g3_organ", "synthetic_subtype", "synthetic_organ"])


@pytest.mark.golden
@RECORDINGS
def test_every_recorded_ranking_is_the_official_one(golden_dir: Path, name: str) -> None:
    case = recorded(golden_dir, name)
    expected = {query: result["final"] for query, result in case.results["per_slide"].items()}
    got = finals(case, Counter(case.query_label.values()), list(expected))
    assert dict(zip(expected, got, strict=True)) == expected


@pytest.mark.golden
@RECORDINGS
def test_every_step_of_the_recorded_rankings_is_the_official_one(golden_dir: Path, name: str) -> None:
    case = recorded(golden_dir, name)
    ranker = ranking(class_counts=Counter(case.query_label.values()))
    classes = sorted(set(case.rows.labels["organ"]) - {None})  # type: ignore[type-var]
    for query, expected in case.results["per_slide"].items():
        bags = ranker.bags(neighbours_of(case.bags[query]), case.rows)
        assert {str(bag.patch): len(bag) for bag in bags} == expected["n_result"]
        assert {str(bag.patch): bag.entropy for bag in bags} == pytest.approx(expected["entropy"], abs=1e-12)
        for bag in bags:
            shares = {classes[name]: share for name, share in bag.shares.items()}
            assert shares == pytest.approx(expected["label_weight"][str(bag.patch)], abs=1e-12)
        kept, threshold = cleaned(bags)
        assert [bag.patch for bag in kept] == expected["kept_order"]
        assert threshold == pytest.approx(expected["hamming_threshold"], abs=1e-12)
        assert sorted(set_aside(kept)) == sorted(expected["removed"])
