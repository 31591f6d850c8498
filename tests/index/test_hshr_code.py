from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from src.errors import IncompatibleParts, WeightsUnavailable
from src.index.codes.hshr import Hshr, sign_codes
from src.index.codes.learned import LearnedCode
from src.index.indexes.binary_flat import BinaryFlat
from src.models.hashing.network import HashEncoder
from src.models.hashing.recipe import HashRecipe

RECIPE = HashRecipe(64, 4, 8, 0.9, 0.1, 2, 2, 0.01, 0)


def saved_encoder(folder: Path, dim: int = 12, n_bits: int = 64, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    torch.save(HashEncoder(dim, n_bits).state_dict(), folder / "model_best.pth")
    return folder / "model_best.pth"


def features(n: int = 5, dim: int = 12) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


def test_codes_are_the_signs_of_the_hash_and_weights_are_one_on_average(tmp_path: Path) -> None:
    code = Hshr(str(saved_encoder(tmp_path)), RECIPE)
    assert isinstance(code, LearnedCode)
    codes = code.encode(features())
    expected = code.encoder.codes(torch.from_numpy(features())).numpy() > 0
    np.testing.assert_array_equal(np.unpackbits(codes.values, axis=1).astype(bool), expected)
    assert codes.n_bits == 64
    assert codes.weights is not None
    assert codes.weights.mean() == pytest.approx(1)
    np.testing.assert_array_equal(code.encode_query(features()).values, codes.values)


def test_written_weights_code_the_same_under_the_same_name(tmp_path: Path) -> None:
    code = Hshr(str(saved_encoder(tmp_path)), RECIPE)
    code.write(tmp_path / "head.pt")
    read = Hshr(str(tmp_path / "head.pt"), RECIPE)
    np.testing.assert_array_equal(read.encode(features()).values, code.encode(features()).values)
    assert read.digest() == code.digest()
    assert Hshr(str(saved_encoder(tmp_path, seed=1)), RECIPE).digest() != code.digest()


def test_features_of_another_encoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleParts, match=r"features have 9 columns, the hash encoder of [^\n]* takes 12"):
        Hshr(str(saved_encoder(tmp_path)), RECIPE).encode(features(dim=9))


def test_auto_is_no_file() -> None:
    with pytest.raises(WeightsUnavailable, match=r"^code.checkpoint=auto: [^\n]*give a FILE here$"):
        Hshr("auto", RECIPE).encode(features())


@pytest.mark.golden
def test_recorded_cosines_of_signs_are_hamming_distances(golden_dir: Path) -> None:
    with np.load(golden_dir / "g9_hshr_inputs.npz", allow_pickle=False) as inputs:
        hashed, recorded = inputs["hash"], inputs["cosine_dis"]
    n_bits = hashed.shape[2]
    codes = sign_codes(hashed.reshape(-1, n_bits), inputs_weights(hashed))
    index = BinaryFlat()
    index.add(codes)
    found = index.search(codes, len(codes))
    hamming = np.take_along_axis(found.distances, found.rows.argsort(axis=1), axis=1)
    np.testing.assert_allclose(2 * hamming / n_bits - 1, recorded, atol=1e-6)


def inputs_weights(hashed: np.ndarray) -> np.ndarray:
    return np.ones(hashed.shape[0] * hashed.shape[1], dtype=np.float32)
