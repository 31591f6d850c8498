"""The key of a patch against the official one and against its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import IncompatibleParts
from src.models.vqvae.integer_key import keys_of, level_sums

seeds = st.integers(0, 10**6)


def random_codes(seed: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 128, (n, 64, 64))


@given(seeds)
def test_sums_are_exact_and_averages_are_rounded_down(seed: int) -> None:
    codes = random_codes(seed, 1)
    level, expected = codes[0], []
    for side in (32, 16, 8):
        level = level.reshape(side, 2, side, 2).sum((1, 3)) // 4
        expected.append(int(level.sum()))
    assert level_sums(codes)[0].tolist() == expected


@given(seeds)
def test_keys_are_in_the_order_of_the_sums_coarsest_first(seed: int) -> None:
    sums = level_sums(random_codes(seed, 6))
    assert np.argsort(keys_of(sums)).tolist() == np.lexsort(sums.T).tolist()


@pytest.mark.parametrize("wrong", [-1.0, 0.3, np.nan, 1e6])
def test_other_features_are_no_keys(wrong: float) -> None:
    with pytest.raises(IncompatibleParts, match=r"no keys of patches .* key_encoder=vqvae"):
        keys_of(np.array([[80, 20, 5], [wrong, 20, 5]], np.float32))


@pytest.mark.golden
def test_sums_and_keys_are_the_official_ones(golden_dir: Path) -> None:
    with np.load(golden_dir / "g1_sish_index.npz", allow_pickle=False) as recorded:
        codes = recorded["codebook"][recorded["latent"]]
        assert level_sums(codes).astype(np.int64).tolist() == recorded["level_sums"][:, 1:].tolist()
        assert keys_of(level_sums(codes)).tolist() == recorded["index"].tolist()
        with_fractions = keys_of(level_sums(codes, float_pooling=True))
        assert with_fractions.tolist() == recorded["index_if_float_pooling"].tolist()


@pytest.mark.golden
def test_keys_of_every_mosaic_of_a_database_are_the_official_ones(golden_dir: Path) -> None:
    with np.load(golden_dir / "g3_sish_query.npz", allow_pickle=False) as recorded:
        codes = recorded["codebook"][recorded["db_latent"]]
        assert keys_of(level_sums(codes)).tolist() == recorded["db_key"].tolist()
