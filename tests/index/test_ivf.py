import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import ConfigError
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.binary_hnsw import BinaryHnsw
from src.index.indexes.binary_ivf import BinaryIvf
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw import Hnsw
from src.index.indexes.ivf import Ivf
from src.interfaces import Codes, Index
from tests.index.databases import unit_vectors
from tests.index.test_any_number_of_threads import threads

SETTINGS: dict[str, Any] = {"nlist": None, "nprobe": 8, "M": 8, "efSearch": 16, "efConstruction": 40}


def filled(index: Index, codes: Codes) -> Index:
    index.train(codes)
    index.add(codes)
    return index


def barcodes(seed: int, n: int) -> Codes:
    return Codes(np.random.default_rng(seed).integers(0, 256, (n, 16), dtype=np.uint8), 128)


def test_ivf_that_keeps_whole_vectors_and_visits_every_list_is_exact() -> None:
    codes, queries = Codes(unit_vectors(0, 900, 20)), Codes(unit_vectors(1, 30, 20))
    excluded = np.arange(900) % 4 == 0
    found = filled(Ivf("Flat", "none", **SETTINGS | {"nprobe": 99}), codes).search(queries, 700, excluded)
    exact = filled(Flat("l2"), codes).search(queries, 700, excluded)
    assert np.array_equal(found.rows, exact.rows)
    np.testing.assert_allclose(found.distances, exact.distances, atol=1e-6)


@pytest.mark.parametrize(
    ("code", "rotation"),
    [("SQ8", "none"), ("PQ16x8", "none"), ("PQ16x8", "opq"), ("PQ16x4fs", "none"), ("RaBitQfs4", "random")],
)
def test_codes_of_ivf_keep_most_neighbours_among_three_times_as_many(code: str, rotation: str) -> None:
    codes, queries = Codes(unit_vectors(0, 2000, 24)), Codes(unit_vectors(1, 30, 24))
    nearest = filled(Flat("l2"), codes).search(queries, 10).rows
    found = filled(Ivf(code, rotation, **SETTINGS | {"nprobe": 99}), codes).search(queries, 30).rows
    assert np.mean([np.isin(a, b).mean() for a, b in zip(nearest, found, strict=True)]) > 0.8


def test_ivf_lowers_its_lists_to_a_small_sample_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        index = filled(Ivf("SQ8", "none", **SETTINGS | {"nlist": 100}), Codes(unit_vectors(0, 400, 8)))
    assert "nlist lowered from 100 to 10 for 400 training vectors" in caplog.text
    assert index.describe()["nlist"] == 10


@pytest.mark.parametrize(("code", "rotation"), [("PQ8x8", "opq"), ("PQ16x4fs", "none"), ("RaBitQfs", "random")])
def test_ivf_is_fitted_the_same_with_any_number_of_threads(code: str, rotation: str, tmp_path: Path) -> None:
    codes = Codes(unit_vectors(0, 3000, 32))
    for n_threads in (1, 4):
        with threads(n_threads):
            filled(Ivf(code, rotation, **SETTINGS), codes).save(tmp_path / str(n_threads))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "4").read_bytes()


def test_graphs_are_built_the_same_with_any_number_of_threads(tmp_path: Path) -> None:
    for n_threads in (1, 4):
        with threads(n_threads):
            filled(Hnsw("SQ8", 8, 32, 40), Codes(unit_vectors(0, 2000, 16))).save(tmp_path / f"float{n_threads}")
            filled(BinaryHnsw(8, 32, 40), barcodes(0, 2000)).save(tmp_path / f"binary{n_threads}")
    for kind in ("float", "binary"):
        assert (tmp_path / f"{kind}1").read_bytes() == (tmp_path / f"{kind}4").read_bytes()


@pytest.mark.parametrize("code", ["Flat", "SQ8"])
def test_hnsw_finds_most_neighbours(code: str) -> None:
    codes, queries = Codes(unit_vectors(0, 2000, 16)), Codes(unit_vectors(1, 30, 16))
    nearest = filled(Flat("l2"), codes).search(queries, 10).rows
    found = filled(Hnsw(code, 16, 100, 60), codes).search(queries, 10).rows
    assert np.mean([np.isin(a, b).mean() for a, b in zip(nearest, found, strict=True)]) > 0.9


def test_binary_ivf_that_visits_every_list_is_exact_whatever_is_excluded() -> None:
    codes, queries = barcodes(0, 500), barcodes(1, 9)
    excluded = np.ones(500, dtype=bool)
    excluded[::50] = False
    for mask in (None, excluded):
        found = filled(BinaryIvf(None, 99, 8), codes).search(queries, 12, mask)
        exact = filled(BinaryFlat(), codes).search(queries, 12, mask)
        assert np.array_equal(found.distances, exact.distances)
    assert np.array_equal(found.rows[:, :10], exact.rows[:, :10])


def test_binary_hnsw_states_the_distances_of_exact_search() -> None:
    codes, queries = barcodes(0, 300), barcodes(1, 9)
    found = filled(BinaryHnsw(16, 300, 60), codes).search(queries, 20)
    exact = filled(BinaryFlat(), codes).search(queries, 20)
    assert np.mean(found.distances == exact.distances) > 0.95
    assert (found.distances >= exact.distances).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"code": "PQ7"}, "code is 'PQ7', expected Flat, SQ8"),
        ({"rotation": "pca"}, "rotation is 'pca' for SQ8"),
        ({"rotation": "opq"}, "rotation is 'opq' for SQ8"),
        ({"nlist": -1}, "nlist is -1, expected at least 1"),
        ({"nprobe": 0}, "nprobe is 0, expected at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Ivf(**{"code": "SQ8", "rotation": "none", **SETTINGS, **settings})


@pytest.mark.parametrize("index", [Ivf("SQ8", "none", **SETTINGS), Hnsw("SQ8", 8, 8, 8)], ids=["ivf", "hnsw"])
def test_codes_before_training_are_refused(index: Index) -> None:
    with pytest.raises(ConfigError, match="not trained"):
        index.add(Codes(unit_vectors(0, 3, 8)))
