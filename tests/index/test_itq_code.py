from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError, FeatureFileError, IndexMismatch
from src.index.codes.barcode import Barcode
from src.index.codes.fitted import FittedCode
from src.index.codes.itq import Itq
from src.index.engine import RetrievalEngine
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.itq_lsh import ItqLsh
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.median_of_minima import MedianOfMinima
from src.interfaces import Code, Codes
from tests.index.databases import random_database
from tests.index.test_engine import SAMPLE

FEATURES = np.random.default_rng(0).normal(size=(100, 32)).astype(np.float32)


def itq_engine() -> RetrievalEngine:
    return RetrievalEngine("e", AllPatches(), Itq(16), BinaryFlat(), MedianOfMinima(), SAMPLE)


def fitted(n_bits: int = 16) -> Itq:
    code = Itq(n_bits)
    code.fit(FEATURES)
    return code


def test_itq_keeps_its_protocols_and_barcodes_are_not_fitted() -> None:
    assert isinstance(Itq(16), Code)
    assert isinstance(Itq(16), FittedCode)
    assert not isinstance(Barcode("yottixel"), FittedCode)


def test_bits_are_those_of_the_index_that_hashes_by_itself() -> None:
    index = ItqLsh(16)
    index.train(Codes(FEATURES))
    codes = fitted().encode(FEATURES)
    assert (codes.kind, codes.n_bits) == ("binary", 16)
    np.testing.assert_array_equal(codes.values, index.hashed(Codes(FEATURES)).values)


def test_a_saved_engine_answers_the_same_with_the_rotation_of_its_folder(tmp_path: Path) -> None:
    store = random_database(0, [20] * 6)
    engine, loaded = itq_engine(), itq_engine()
    engine.build(store)
    engine.save(tmp_path / "index")
    loaded.load(tmp_path / "index")
    assert (tmp_path / "index" / "code.faiss").exists()
    assert loaded.search(store.slides[3], 5) == engine.search(store.slides[3], 5)
    assert loaded.search(store.slides[3], 1).hits[0].slide_id == "s003"


def test_a_damaged_rotation_is_named_before_it_is_read(tmp_path: Path) -> None:
    engine = itq_engine()
    engine.build(random_database(0, [20] * 6))
    engine.save(tmp_path / "index")
    (tmp_path / "index" / "code.faiss").write_bytes(b"damaged")
    with pytest.raises(IndexMismatch, match=r"code\.faiss has SHA-256"):
        itq_engine().load(tmp_path / "index")


def test_features_and_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match="code itq is not fitted"):
        Itq(16).encode(FEATURES)
    with pytest.raises(ConfigError, match="code itq: n_bits is 12, expected a multiple of 8"):
        Itq(12)
    with pytest.raises(ConfigError, match="code itq: n_bits is 64, expected at most the 32 dimensions"):
        fitted(64)
    with pytest.raises(ConfigError, match="features have 16 columns, code itq was fitted to 32"):
        fitted().encode(FEATURES[:, :16].copy())
    with pytest.raises(FeatureFileError, match="1 of 100 vectors hold NaN"):
        fitted().encode(np.where(np.arange(3200).reshape(100, 32) == 5, np.float32(np.nan), FEATURES))
