import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from src.index.indexes.coarse import fit_centroids, shared_out
from tests.index.databases import unit_vectors


def spread(vectors: np.ndarray, centroids: np.ndarray) -> float:
    """Mean squared distance to the nearest centroid."""
    return float(np.square(vectors[:, None] - centroids).sum(axis=2).min(axis=1).mean())


def test_two_levels_find_centroids_nearly_as_good_as_one() -> None:
    vectors = unit_vectors(0, 4000, 8)
    one, two = fit_centroids(vectors, 64), fit_centroids(vectors, 64, most_at_once=10)
    chosen_at_random = vectors[:64]
    assert one.shape == two.shape == (64, 8)
    assert spread(vectors, two) < 1.05 * spread(vectors, one)
    assert spread(vectors, two) < 0.9 * spread(vectors, chosen_at_random)


def test_a_group_of_one_vector_among_many_does_not_end_a_fit() -> None:
    vectors = np.concatenate([unit_vectors(0, 900, 4), np.full((1, 4), 50, np.float32)])
    assert np.isfinite(fit_centroids(vectors, 20, most_at_once=10)).all()


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30).filter(any), st.data())
def test_shares_add_up_and_are_no_larger_than_their_group(sizes: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(0, sum(sizes)))
    shares = shared_out(n, np.array(sizes))
    assert shares.sum() == n
    assert (shares >= 0).all()
    assert (shares <= np.array(sizes)).all()
