"""What engines answer where there is little or nothing: each case has one outcome, and what is left out is counted."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from src.errors import ConfigError, SlideError
from src.index.engine import RetrievalEngine
from src.interfaces import SlideFeatures
from tests.index.databases import MemoryStore, plain_colours, slide_of
from tests.index.test_every_engine import DIM, make

WEIGHS_LABELS = ("retccl", "sish")

every_published = pytest.mark.parametrize("name", ["hshr", "retccl", "sish", "yottixel"])


def slide(slide_id: str, n_patches: int, seed: int) -> SlideFeatures:
    """Patches that look alike in every slide, so that each engine finds them; their keys are near but differ."""
    rng = np.random.default_rng(seed)
    looks = 9 * np.random.default_rng(0).normal(size=(40, DIM - 3))[:n_patches] + rng.normal(size=(n_patches, DIM - 3))
    features = np.hstack([rng.integers(0, 5, (n_patches, 3)), looks])
    return replace(slide_of(slide_id, features), colours=plain_colours(n_patches, highest=230))


def store_of(*n_patches: int) -> MemoryStore:
    return MemoryStore([slide(f"s{place}", n, seed=place + 1) for place, n in enumerate(n_patches)])


def built(name: str, store: MemoryStore, labels: dict[str, str] | None = None) -> RetrievalEngine:
    engine = make(name)
    engine.build(store)
    known = dict.fromkeys(store.slide_ids, "lung") if labels is None else labels
    engine.use_labels({"tissue": pd.Series(known, dtype=object)})
    return engine


def named(engine: RetrievalEngine, query: SlideFeatures) -> set[str]:
    return {hit.slide_id for hit in engine.search(query, 9)}


@every_published
def test_slides_without_patches_are_left_out_and_counted(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        engine = built(name, store_of(12, 0, 12, 0))
    assert engine.rows.slide_ids == ("s0", "s2")
    assert f"engine {name}: left out 2 of 4 slides, which have no patches: s1, s3" in caplog.text
    assert named(engine, slide("query", 12, seed=9)) <= {"s0", "s2"}


@every_published
def test_a_database_of_such_slides_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match="no slide has patches, expected at least one"):
        built(name, store_of(0, 0))


@every_published
def test_a_query_without_patches_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(SlideError, match="query: no patches to search with"):
        built(name, store_of(12)).search(slide("query", 0, seed=9), 1)


@every_published
@pytest.mark.parametrize("n_patches", [1, 5])  # fewer than the clusters of any mosaic
def test_slides_of_fewer_patches_than_clusters_stand_with_all_of_them_and_are_found(name: str, n_patches: int) -> None:
    engine = built(name, store_of(n_patches, n_patches, n_patches))
    assert np.bincount(engine.rows.slide_of_row).tolist() == [n_patches] * 3
    assert named(engine, slide("query", n_patches, seed=9))


@every_published
def test_a_query_of_one_patch_is_answered(name: str) -> None:
    assert named(built(name, store_of(5, 5)), slide("query", 1, seed=9))


@every_published
def test_a_query_whose_patient_owns_the_whole_database_has_no_answer(name: str) -> None:
    engine = built(name, store_of(12, 12))
    ranking = engine.search(slide("query", 12, seed=9), 9, np.ones(len(engine.rows), dtype=bool))
    assert (ranking.query_id, len(ranking)) == ("query", 0)


@every_published
def test_where_some_labels_are_missing_only_engines_that_weigh_them_leave_slides_out_and_count_them(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        engine = built(name, store_of(12, 12, 12), {"s0": "lung", "s2": "lung"})
    told = "1 of 3 slides of the database have no tissue and are no answer"
    assert (told in caplog.text) == (name in WEIGHS_LABELS)
    found = named(engine, slide("query", 12, seed=9))
    assert ("s1" in found) == (name not in WEIGHS_LABELS)
    assert found & {"s0", "s2"}


@every_published
def test_where_all_labels_are_missing_engines_that_weigh_them_say_so(name: str) -> None:
    engine, query = built(name, store_of(12, 12), {}), slide("query", 12, seed=9)
    if name in WEIGHS_LABELS:
        with pytest.raises(ConfigError, match="no slide of the database has a 'tissue'"):
            engine.search(query, 9)
    else:
        assert named(engine, query) == {"s0", "s1"}
