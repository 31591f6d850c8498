"""Keys and barcodes of one patch."""

from __future__ import annotations

import numpy as np
import pytest

from src.errors import FeatureFileError, IncompatibleParts
from src.index.codes.barcode import Barcode
from src.index.codes.sish import Sish
from src.interfaces import Code
from src.models.vqvae.integer_key import keys_of, level_sums

SUMS = level_sums(np.random.default_rng(0).integers(0, 128, (5, 64, 64)))
FEATURES = np.random.default_rng(1).normal(size=(5, 33)).astype(np.float32)


def test_keys_come_of_the_first_columns_and_barcodes_of_the_others() -> None:
    codes = Sish().encode(np.hstack([SUMS, FEATURES]))
    assert isinstance(Sish(), Code)
    assert (codes.kind, codes.n_bits) == ("keyed", 33)
    assert codes.keys is not None
    assert codes.keys.tolist() == keys_of(SUMS).tolist()
    assert np.array_equal(codes.values, Barcode("sish").encode(FEATURES).values)


def test_features_without_key_columns_are_refused() -> None:
    with pytest.raises(IncompatibleParts, match=r"first 3 columns .* are no keys of patches .* key_encoder=vqvae"):
        Sish().encode(FEATURES)


def test_features_that_are_not_finite_are_refused() -> None:
    broken = np.hstack([SUMS, FEATURES])
    broken[2, 20] = np.nan
    with pytest.raises(FeatureFileError, match="1 of 5 vectors hold NaN"):
        Sish().encode(broken)
