from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError, FeatureFileError
from src.index.codes.barcode import Barcode
from src.interfaces import Code, Codes

FEATURES = np.random.default_rng(0).normal(size=(7, 41)).astype(np.float32)


def distances(codes: Codes) -> np.ndarray:
    bits = np.unpackbits(codes.values, axis=1)
    return np.asarray((bits[:, None] != bits[None]).sum(axis=2))


def test_barcode_keeps_its_protocol() -> None:
    assert isinstance(Barcode("yottixel"), Code)


@pytest.mark.parametrize(("bits", "n_bits"), [("yottixel", 40), ("sish", 41)])
def test_barcodes_are_packed_eight_bits_to_a_byte(bits: str, n_bits: int) -> None:
    codes = Barcode(bits).encode(FEATURES)
    assert (codes.kind, codes.n_bits) == ("binary", n_bits)
    assert codes.values.dtype == np.uint8
    assert codes.values.shape == (7, -(-n_bits // 8))
    assert not np.unpackbits(codes.values, axis=1)[:, n_bits:].any()


def test_both_kinds_of_bits_give_the_same_distances() -> None:
    features = FEATURES.round(0)  # many equal neighbours
    yottixel, sish = (distances(Barcode(bits).encode(features)) for bits in ("yottixel", "sish"))
    np.testing.assert_array_equal(yottixel, sish)


def test_a_query_is_coded_as_the_database() -> None:
    code = Barcode("yottixel")
    np.testing.assert_array_equal(code.encode(FEATURES).values, code.encode_query(FEATURES).values)


def test_scale_and_offset_do_not_matter() -> None:
    before, after = (Barcode("yottixel").encode(features).values for features in (FEATURES, 2 * FEATURES + 1))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_without_a_sign_are_counted_and_refused(bad: float) -> None:
    broken = FEATURES.copy()
    broken[2:4, 5] = bad
    with pytest.raises(FeatureFileError, match="2 of 7 vectors hold NaN or infinity"):
        Barcode("sish").encode(broken)


def test_a_single_feature_has_no_barcode() -> None:
    with pytest.raises(FeatureFileError, match="features have 1 columns, a barcode takes at least 2"):
        Barcode("yottixel").encode(FEATURES[:, :1])


def test_unknown_bits_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="bits is 'lbp', expected one of yottixel, sish"):
        Barcode("lbp")


@pytest.mark.golden
def test_barcodes_of_yottixel_are_the_recorded_ones(golden_dir: Path) -> None:
    with np.load(golden_dir / "g5_yottixel_bob.npz", allow_pickle=False) as recorded:
        codes = Barcode("yottixel").encode(recorded["features"])
        np.testing.assert_array_equal(codes.values, recorded["barcode_packed"])


@pytest.mark.golden
def test_barcodes_of_sish_are_the_recorded_ones(golden_dir: Path) -> None:
    with np.load(golden_dir / "g1b_sish_barcode.npz", allow_pickle=False) as recorded:
        codes = Barcode("sish").encode(recorded["features"])
        bits = np.unpackbits(codes.values, axis=1, count=codes.n_bits)
        np.testing.assert_array_equal(bits, recorded["barcode"])
