from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.errors import ConfigError, IncompatibleParts, IndexMismatch
from src.index.background import Background
from src.index.codes.barcode import Barcode
from src.index.engine import RetrievalEngine
from src.index.indexes.binary_flat import BinaryFlat
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.nearest_patch import NearestPatch
from src.interfaces import Codes, Index
from tests.index.databases import random_database, unit_vectors
from tests.index.test_engine import SAMPLE
from tests.index.test_indexes import brute_force


def barcodes(seed: int, n: int, n_bytes: int = 4) -> Codes:
    return Codes(np.random.default_rng(seed).integers(0, 256, (n, n_bytes), dtype=np.uint8), 8 * n_bytes)


def filled(codes: Codes) -> BinaryFlat:
    index = BinaryFlat()
    index.train(codes)
    index.add(codes)
    return index


def test_binary_flat_keeps_its_protocol() -> None:
    assert isinstance(BinaryFlat(), Index)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 200), k=st.integers(1, 220), n_queries=st.sampled_from([1, 3, 40]))
def test_binary_flat_is_exact_with_ties_by_row(seed: int, n: int, k: int, n_queries: int) -> None:
    database, queries = barcodes(seed, n, 1), barcodes(seed + 1, n_queries, 1)  # many ties
    excluded = np.random.default_rng(seed).random(n) < 0.2
    neighbours = filled(database).search(queries, k, excluded)
    bits = [np.unpackbits(codes.values, axis=1) for codes in (queries, database)]
    distances, rows = brute_force((bits[0][:, None] != bits[1][None]).sum(-1), k, excluded)
    np.testing.assert_array_equal(neighbours.rows[:, : rows.shape[1]], rows)
    np.testing.assert_array_equal(neighbours.distances[:, : rows.shape[1]], distances)
    assert (neighbours.rows[:, rows.shape[1] :] == -1).all()
    assert np.isinf(neighbours.distances[:, rows.shape[1] :]).all()


def test_saved_index_answers_the_same(tmp_path: Path) -> None:
    index, queries = filled(barcodes(0, 60)), barcodes(1, 4)
    index.save(tmp_path / "index.faiss")
    loaded = BinaryFlat()
    loaded.load(tmp_path / "index.faiss")
    np.testing.assert_array_equal(index.search(queries, 9).rows, loaded.search(queries, 9).rows)
    assert loaded.describe() == index.describe() == {"code_size_bytes": 4}


def test_keys_play_no_part() -> None:
    plain = barcodes(0, 60)
    keyed = replace(plain, keys=np.arange(60))
    assert keyed.kind == "keyed"
    np.testing.assert_array_equal(filled(keyed).search(keyed, 60).rows, filled(plain).search(plain, 60).rows)


def test_codes_and_searches_that_cannot_work_are_refused() -> None:
    index = filled(barcodes(0, 60))
    with pytest.raises(IncompatibleParts, match="index binary_flat takes binary codes, got float ones"):
        index.add(Codes(unit_vectors(0, 3, 32)))
    with pytest.raises(IndexMismatch, match="codes have 2 columns, the index has 4"):
        index.search(barcodes(0, 3, 2), 1)
    with pytest.raises(ConfigError, match="is empty"):
        BinaryFlat().search(barcodes(0, 3), 1)
    with pytest.raises(ConfigError, match="k is 0"):
        index.search(barcodes(0, 3), 0)
    with pytest.raises(ConfigError, match="mask has 59 rows, the index has 60"):
        index.search(barcodes(0, 3), 1, np.zeros(59, dtype=bool))


def test_hits_of_barcodes_have_a_significance(tmp_path: Path) -> None:
    parts = (NearestPatch(3), SAMPLE, Background(200, seed=0))
    engine = RetrievalEngine("e", AllPatches(), Barcode("sish"), BinaryFlat(), *parts)
    store = random_database(0, [9] * 6)
    engine.build(store)
    engine.save(tmp_path / "index")
    loaded = RetrievalEngine("e", AllPatches(), Barcode("sish"), BinaryFlat(), *parts)
    loaded.load(tmp_path / "index")
    query = store.slides[2]
    found = loaded.significance_of(query, loaded.search(query, 6))
    assert found is not None
    assert found.z[0] == found.z.min() < 0


def test_barcodes_of_another_length_are_refused_though_they_fill_as_many_bytes(tmp_path: Path) -> None:
    def engine_of(bits: str) -> RetrievalEngine:
        return RetrievalEngine("e", AllPatches(), Barcode(bits), BinaryFlat(), NearestPatch(3), SAMPLE)

    store = random_database(0, [9] * 6)
    built, other = engine_of("yottixel"), engine_of("sish")
    built.build(store)
    built.save(tmp_path / "index")
    other.load(tmp_path / "index")
    with pytest.raises(IndexMismatch, match="s000: barcodes have 32 bits, the index was built with 31; use the code"):
        other.search(store.slides[0], 1)
