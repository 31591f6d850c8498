from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import IncompatibleParts
from src.index.indexes import near_vectors
from src.index.indexes.flat import Flat
from src.interfaces import Codes
from tests.index.databases import unit_vectors


def filled(vectors: np.ndarray, metric: str = "cosine") -> Flat:
    index = Flat(metric)
    index.add(Codes(vectors))
    return index


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    n_queries=st.integers(1, 5),
    max_distance=st.sampled_from([0.0, 0.3, 0.8, 2.0]),
    rows_at_once=st.sampled_from([1, 7, 4096]),
)
def test_near_rows_are_those_of_an_exhaustive_search_to_the_last_bit(
    seed: int, n: int, n_queries: int, max_distance: float, rows_at_once: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit_vectors(seed, 20, 37)[rng.integers(0, 20, n)]  # equal ones among them
    queries = Codes(np.concatenate([vectors[:1], unit_vectors(seed + 1, n_queries - 1, 37)]))
    excluded = rng.random(n) < 0.3
    index = filled(vectors)
    everything = index.search(queries, n, excluded)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(near_vectors, "_AT_ONCE", rows_at_once)
        near = index.near(queries, max_distance, excluded)
    for query in range(n_queries):
        is_near = everything.distances[query].astype(np.float64) <= max_distance
        n_near = int(is_near.sum())
        assert near.rows[query, :n_near].tolist() == everything.rows[query, is_near].tolist()
        assert near.distances[query, :n_near].tolist() == everything.distances[query, is_near].tolist()
        assert (near.rows[query, n_near:] == -1).all()
        assert np.isinf(near.distances[query, n_near:]).all()


def test_near_rows_are_of_cosine_only() -> None:
    with pytest.raises(IncompatibleParts, match="finds near rows by cosine only"):
        filled(unit_vectors(0, 3, 4), "l2").near(Codes(unit_vectors(1, 1, 4)), 0.3)
