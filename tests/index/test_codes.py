import numpy as np
import pytest

from src.errors import FeatureFileError
from src.index.codes.here import Here
from src.index.codes.l2 import L2
from src.index.codes.raw import Raw
from src.index.mosaics.all_patches import AllPatches
from src.interfaces import Code, Mosaic
from tests.index.databases import slide_of

FEATURES = np.array([[3, 4, 0], [0, 0, 2]], dtype=np.float32)


def test_codes_and_mosaic_keep_their_protocols() -> None:
    assert all(isinstance(code, Code) for code in (L2(), Raw(), Here()))
    assert isinstance(AllPatches(), Mosaic)


def test_all_patches_keeps_every_row() -> None:
    assert AllPatches().select(slide_of("a", FEATURES)).tolist() == [0, 1]


def test_l2_gives_each_patch_unit_length_in_database_and_query() -> None:
    expected = np.array([[0.6, 0.8, 0], [0, 0, 1]])
    np.testing.assert_allclose(L2().encode(FEATURES).values, expected, rtol=1e-6)
    np.testing.assert_allclose(L2().encode_query(FEATURES).values, expected, rtol=1e-6)


def test_l2_of_features_whose_squares_overflow_is_still_unit_length() -> None:
    codes = L2().encode(FEATURES * np.float32(1e30))
    np.testing.assert_allclose(np.linalg.norm(codes.values, axis=1), 1, rtol=1e-6)


def test_raw_changes_nothing() -> None:
    assert np.array_equal(Raw().encode(FEATURES).values, FEATURES)
    assert np.array_equal(Raw().encode_query(FEATURES).values, FEATURES)


def test_here_pools_the_query_and_not_the_database() -> None:
    mean = np.array([[0.3, 0.4, 0.5]])
    assert len(Here().encode(FEATURES)) == 2
    np.testing.assert_allclose(Here().encode_query(FEATURES).values, mean / np.linalg.norm(mean), rtol=1e-6)


@pytest.mark.parametrize("bad", [0, np.nan, np.inf])
def test_vectors_without_a_direction_are_counted_and_refused(bad: float) -> None:
    features = np.full((3, 4), bad, dtype=np.float32)
    features[1] = 1
    with pytest.raises(FeatureFileError, match="2 of 3 vectors"):
        L2().encode(features)


def test_here_refuses_a_query_whose_patches_cancel_out() -> None:
    with pytest.raises(FeatureFileError, match="1 of 1 vectors"):
        Here().encode_query(np.array([[1, 0], [-1, 0]], dtype=np.float32))
