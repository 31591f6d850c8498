from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError
from src.index.fusion import Fusion
from src.interfaces import Hit, Ranking


def ranking(*slides: str, scores: list[float] | None = None, x: int = 0) -> Ranking:
    values = scores or [float(-rank) for rank in range(len(slides))]
    hits = (Hit(slide, f"p-{slide}", x, 0, -score, score) for slide, score in zip(slides, values, strict=True))
    return Ranking("q", tuple(hits))


def fused(fusion: Fusion, k: int = 10, **rankings: Ranking) -> list[tuple[str, float]]:
    return [(hit.slide_id, hit.score) for hit in fusion.fuse("both", rankings, k)]


def test_reciprocal_ranks_are_those_of_the_paper_but_for_a_factor() -> None:
    found = fused(Fusion(), image=ranking("a", "b", "c"), text=ranking("b", "d"))
    expected = {"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 63, "d": 1 / 62}
    assert [slide for slide, _ in found] == ["b", "a", "d", "c"]
    assert dict(found) == pytest.approx({slide: 61 / 2 * value for slide, value in expected.items()})


def test_weighted_scores_run_from_the_best_to_the_worst_of_each_ranking() -> None:
    image, text = ranking("a", "b", "c", scores=[5.0, 4.0, 1.0]), ranking("c", "a", scores=[0.9, 0.7])
    found = dict(fused(Fusion("weighted", {"image": 1, "text": 3}), image=image, text=text))
    assert found == pytest.approx({"a": 0.25, "b": 0.25 * 0.75, "c": 0.75})


@given(order=st.permutations(list("abcdefg")), method=st.sampled_from(["rrf", "weighted"]))
def test_rankings_that_agree_are_kept(order: list[str], method: str) -> None:
    one = ranking(*order)
    found = fused(Fusion(method), image=one, text=one, gene=one)
    assert [slide for slide, _ in found] == order
    assert found[0][1] == pytest.approx(1)


def test_ranking_without_weight_changes_nothing() -> None:
    found = fused(Fusion(weights={"text": 0}), image=ranking("a", "b"), text=ranking("b", "a"))
    assert [slide for slide, _ in found] == ["a", "b"]


def test_hit_shows_the_patch_of_the_first_ranking_that_has_one() -> None:
    hits = Fusion().fuse("q", {"image": ranking("a", x=7), "text": ranking("a", "b", x=1)}, 5).hits
    assert {hit.slide_id: hit.x for hit in hits} == {"a": 7, "b": 1}
    assert [hit.distance for hit in hits] == pytest.approx([1 - hit.score for hit in hits])


def test_best_patch_of_a_slide_counts_where_patches_are_ranked() -> None:
    patches = Ranking("q", tuple(Hit(s, s, x, 0, -v, v) for s, x, v in [("a", 1, 9.0), ("a", 2, 8.0), ("b", 1, 7.0)]))
    assert fused(Fusion(), image=patches) == [("a", 1.0), ("b", pytest.approx(61 / 62))]
    assert fused(Fusion("weighted"), image=patches) == [("a", 1.0), ("b", 0.0)]


def test_k_cuts_and_nothing_gives_nothing() -> None:
    assert fused(Fusion(), k=1, image=ranking("a", "b")) == [("a", 1.0)]
    assert fused(Fusion("weighted"), image=ranking(), text=ranking()) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"method": "max"}, "method"), ({"constant": -1}, "constant"), ({"weights": {"text": -1}}, "weights.text")],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Fusion(**settings)


def test_weights_of_zero_only_are_refused() -> None:
    with pytest.raises(ConfigError, match="all rankings count 0"):
        fused(Fusion(weights={"image": 0}), image=ranking("a"))
