"""The ranking of RetCCL: by hand, and as the official code answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import ConfigError, IncompatibleParts
from src.index.codes.l2 import L2
from src.index.engine import RetrievalEngine
from src.index.indexes.flat import Flat
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.classes import classes_of
from src.index.rankers.entropy import Entropy
from src.index.rankers.similarity_bag import SimilarityBag, similarity_bags
from src.index.training_sample import TrainingSample
from src.interfaces import Neighbours, Ranker, Rows
from tests.index.test_rankers import found, rows_of

SAMPLE = TrainingSample(n_slides=9, n_patches=9, min_patches=1, seed=0)

DEFAULTS = {"label": "organ", "bag_order": "entropy_desc", "min_cosine": 0.7, "n_top": 5, "n_neighbours": None}


def ranking(**settings: Any) -> Entropy:
    return Entropy(**{**DEFAULTS, **settings})


def labelled(slides: list[str], labels: dict[str, str | None]) -> Rows:
    rows = rows_of(slides)
    return replace(rows, labels={"organ": tuple(labels[slide] for slide in rows.slide_ids)})


def names(neighbours: Neighbours, rows: Rows, **settings: Any) -> list[str]:
    return [hit.slide_id for hit in ranking(**settings).rank("q", neighbours, rows, k=5)]


def test_ranking_keeps_its_protocol() -> None:
    assert isinstance(ranking(), Ranker)


def test_each_bag_names_the_nearest_slide_of_its_majority() -> None:
    rows = labelled(["a", "b", "c"], {"a": "lung", "b": "brain", "c": "brain"})
    hits = ranking().rank("q", found([(0, 0.0), (1, 0.125), (2, 0.25)]), rows, k=5).hits
    assert [(hit.slide_id, hit.x, hit.distance) for hit in hits] == [("b", 1, 0.125)]


def test_a_tie_of_classes_goes_to_the_better_ranked() -> None:
    rows = labelled(["a", "b", "c", "d"], {"a": "lung", "b": "brain", "c": "brain", "d": "lung"})
    assert names(found([(1, 0.0), (0, 0.125), (3, 0.25), (2, 0.25)]), rows) == ["b"]


def test_the_order_of_bags_is_that_of_entropy() -> None:
    rows = labelled(["a", "b", "c"], {"a": "lung", "b": "brain", "c": "brain"})
    mixed, pure = [(1, 0.125), (0, 0.125), (2, 0.125)], [(2, 0.125), (-1, np.inf), (-1, np.inf)]
    assert names(found(pure, mixed), rows) == ["b", "c"]
    assert names(found(mixed, pure), rows, bag_order="entropy_asc") == ["c", "b"]


def test_less_similar_bags_and_less_similar_members_are_dropped() -> None:
    rows = labelled(["a", "b", "c"], dict.fromkeys("abc", "lung"))
    near, far = [(0, 0.0), (1, 0.5)], [(2, 0.25), (-1, np.inf)]
    assert names(found(near, far), rows) == ["a"]
    assert names(found(far, far), rows) == ["c"]


def test_bags_that_name_a_slide_again_name_none() -> None:
    rows = labelled(["a", "b"], dict.fromkeys("ab", "lung"))
    assert names(found([(0, 0.125)], [(0, 0.125)], [(1, 0.125)]), rows) == ["a", "b"]


def test_nothing_similar_is_an_empty_ranking() -> None:
    rows = labelled(["a"], {"a": "lung"})
    assert names(found([(0, 0.5)], [(-1, np.inf)]), rows) == []


def test_slides_without_a_label_are_in_no_bag() -> None:
    rows = labelled(["a", "b"], {"a": None, "b": "lung"})
    assert names(found([(0, 0.0), (1, 0.25)]), rows) == ["b"]


def test_rare_classes_weigh_more() -> None:
    rows = labelled(["a", "b", "c"], {"a": "lung", "b": "lung", "c": "brain"})
    classes = classes_of(rows, "organ", "entropy")
    assert classes.weights[classes.of_slide[rows.slide_ids.index("c")]] == 2 * classes.weights[classes.of_slide[-1]]


def test_a_label_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"weighs label 'organ', the database has none"):
        names(found([(0, 0.0)]), rows_of(["a"]))
    with pytest.raises(ConfigError, match="no slide of the database has a 'organ'"):
        names(found([(0, 0.0)]), labelled(["a"], {"a": None}))


def test_an_index_of_other_distances_does_not_fit() -> None:
    with pytest.raises(IncompatibleParts, match="judges distances in 1 - cosine, index flat states squared Euclidean"):
        RetrievalEngine("e", AllPatches(), L2(), Flat("l2"), ranking(), SAMPLE)


@pytest.mark.parametrize("wrong", [{"bag_order": "up"}, {"min_cosine": 1.5}, {"n_top": 0}, {"n_neighbours": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ranking(**wrong)


class Recording:
    """One site of the recorded answers: `organ` ranks by site, the others by diagnosis among the site's slides."""

    def __init__(self, folder: Path, site: str) -> None:
        inputs = np.load(folder / "g6_retccl_inputs.npz", allow_pickle=False)
        self.answers = json.loads((folder / "g6_retccl_ranking.json").read_text())["result"][site]
        self.weights = json.loads((folder / "g6_retccl_ranking.json").read_text())["weights"][site]
        self.label = "site" if site == "organ" else "diagnosis"
        names, slide_of_row = inputs["slide_name"].tolist(), inputs["db_slide"]
        labels = {name: tuple(inputs[f"slide_{name}"].tolist()) for name in ("site", "diagnosis")}
        if site != "organ":
            is_here = inputs["slide_site"] == site
            labels = {
                name: tuple(v if here else None for v, here in zip(values, is_here, strict=True))
                for name, values in labels.items()
            }
        xy = np.stack([np.arange(len(slide_of_row))] * 2, axis=1)
        self.rows = Rows(tuple(names), tuple(names), slide_of_row, xy, labels)
        self.excluded = None if site == "organ" else inputs["slide_site"][slide_of_row] != site
        self.index = Flat("cosine")
        self.index.add(L2().encode(inputs["db_feature"]))
        self._query, self._slide = inputs["query_feature"], inputs["query_slide"]

    def neighbours(self, query: str) -> Neighbours:
        features = self._query[self._slide == int(query.removeprefix("Q").removesuffix(".svs"))]
        n_allowed = len(self.rows) if self.excluded is None else int((~self.excluded).sum())
        return self.index.search(L2().encode(features), n_allowed, self.excluded)

    def bags(self, query: str) -> list[SimilarityBag]:
        classes = classes_of(self.rows, self.label, "entropy")
        return similarity_bags(self.neighbours(query), self.rows, classes, 0.7)


@pytest.fixture(params=["organ", "lung", "brain"])
def recording(request: pytest.FixtureRequest, golden_dir: Path) -> Recording:
    return Recording(golden_dir, request.param)


@pytest.mark.golden
def test_classes_weigh_as_recorded_but_for_the_factor(recording: Recording) -> None:
    classes = classes_of(recording.rows, recording.label, "entropy")
    of_name = dict(zip(recording.rows.labels[recording.label], classes.of_slide.tolist(), strict=True))
    names = list(recording.weights)
    ours = np.array([classes.weights[of_name[name]] for name in names])
    recorded = np.array([recording.weights[name] for name in names])
    np.testing.assert_allclose(ours / ours.sum(), recorded / recorded.sum(), rtol=1e-12)


@pytest.mark.golden
def test_bags_hold_the_recorded_patches_in_order(recording: Recording) -> None:
    for query, answer in recording.answers.items():
        bags = recording.bags(query)
        for patch, members in answer["bag"].items():
            assert bags[int(patch)].hits.rows.tolist() == [row for row, _ in members]
            np.testing.assert_allclose(bags[int(patch)].similarities, [cosine for _, cosine in members], atol=1e-6)


@pytest.mark.golden
def test_bags_have_the_recorded_entropy(recording: Recording) -> None:
    weights = classes_of(recording.rows, recording.label, "entropy").weights
    for query, answer in recording.answers.items():
        ours = {str(patch): bag.entropy(weights) for patch, bag in enumerate(recording.bags(query))}
        assert ours == pytest.approx(answer["entropy"], abs=1e-6)


@pytest.mark.golden
def test_slides_are_ranked_as_recorded(recording: Recording) -> None:
    for query, answer in recording.answers.items():
        asked = ranking(label=recording.label)
        hits = asked.rank(query, recording.neighbours(query), recording.rows, k=len(recording.rows)).hits
        assert [hit.slide_id for hit in hits] == [slide for slide, _, _ in answer["ranking"]]
        assert [1 - hit.distance for hit in hits] == pytest.approx(
            [cosine for _, cosine, _ in answer["ranking"]], abs=1e-6
        )
