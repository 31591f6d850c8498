from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.index.indexes.flat import Flat
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.rankers.nearest_patch import NearestPatch
from src.index.rankers.patches import Patches
from src.index.widening import neighbours_for
from src.interfaces import Codes, Index, Neighbours, Ranker, Rows
from tests.index.databases import unit_vectors

N_SLIDES, N_PATCHES = 10, 60


class Counted:
    """An index that counts how often it is searched."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.n_searches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    def __len__(self) -> int:
        return len(self.index)

    def search(self, queries: Codes, k: int, excluded: np.ndarray | None = None) -> Neighbours:
        self.n_searches += 1
        return self.index.search(queries, k, excluded)


def filled(index: Index, vectors: np.ndarray) -> Counted:
    index.train(Codes(vectors))
    index.add(Codes(vectors))
    return Counted(index)


def rows_of(vectors: np.ndarray) -> Rows:
    """Ten slides in blocks, so that the rows nearest to each other can be of one slide."""
    names = tuple(f"s{place}" for place in range(N_SLIDES))
    places = np.arange(len(vectors))
    return Rows(names, names, places // N_PATCHES, np.stack([places, places], axis=1))


VECTORS = unit_vectors(0, N_SLIDES * N_PATCHES, 16)
QUERY = Codes(unit_vectors(1, 1, 16))


def test_patches_are_certain_after_one_search() -> None:
    index = filled(Flat("cosine"), VECTORS)
    neighbours_for(Patches(20), index, rows_of(VECTORS), QUERY, 20, None)
    assert index.n_searches == 1


def test_an_index_without_more_rows_is_not_asked_again() -> None:
    index = filled(HnswIvfPq(8, 8, 40, 8, 1, 16, 40), VECTORS)
    neighbours = neighbours_for(NearestPatch(100), index, rows_of(VECTORS), QUERY, N_SLIDES, None)
    assert (neighbours.rows < 0).any()
    assert index.n_searches == 1


@pytest.mark.parametrize("ranking", [Patches(1), NearestPatch(1)])
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 30), n_queries=st.integers(1, 3), levels=st.sampled_from([2, 9]))
def test_first_answers_are_those_of_all_rows_ties_included(
    ranking: Ranker, seed: int, k: int, n_queries: int, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, levels, (N_SLIDES * N_PATCHES, 3)).astype(np.float32)
    queries = Codes(rng.integers(0, levels, (n_queries, 3)).astype(np.float32))
    index, rows = filled(Flat("l2"), vectors), rows_of(vectors)
    asked = neighbours_for(ranking, index, rows, queries, k, None)
    everything = index.search(queries, len(vectors))
    assert ranking.rank("q", asked, rows, k) == ranking.rank("q", everything, rows, k)
