"""Patches to key columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.errors import ConfigError, WeightsUnavailable
from src.interfaces import Encoder
from src.models.keyed_encoder import KeyedEncoder, KeyEncoder
from src.models.vqvae.codeword_order import codeword_order
from src.models.vqvae.integer_key import keys_of, level_sums
from src.models.vqvae.key_encoder import VqVaeKeys
from src.models.vqvae.network import VqVaeEncoder
from src.models.vqvae.recipe import VqVaeRecipe
from tests.models.vqvae.test_module import RECIPE

SIDE_PX = 128


def weights(folder: Path, wrap: str = "model") -> Path:
    torch.manual_seed(0)
    path = folder / "model_9.pt"
    decoder = {"decoder.0.net.0.weight": torch.zeros(4)}
    state = {**VqVaeEncoder(4, 128).state_dict(), **decoder}
    torch.save({wrap: state} if wrap else {f"module.{name}": value for name, value in state.items()}, path)
    return path


def keys(checkpoint: Path | str, **changed: Any) -> VqVaeKeys:
    settings = {"codebook_semantic": None, "input_px": SIDE_PX, "float_pooling": False, "batch_size": 2}
    recipe = VqVaeRecipe(**RECIPE)
    return VqVaeKeys("vqvae", str(checkpoint), device="cpu", training=recipe, **{**settings, **changed})


def patches(n: int = 3, side_px: int = SIDE_PX) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (n, side_px, side_px, 3)).astype(np.uint8))


def test_sums_are_those_of_the_networks_codewords(tmp_path: Path) -> None:
    encoder = keys(weights(tmp_path))
    pixels = torch.from_numpy(np.stack(patches()).transpose(0, 3, 1, 2).astype(np.float32) / 255)
    codes = encoder._network(pixels).numpy()
    assert np.array_equal(encoder.sums(patches()), level_sums(codes))
    assert encoder.sums([]).shape == (0, 3)


@pytest.mark.parametrize("wrap", ["state_dict", "model", ""])
def test_official_and_own_checkpoints_are_read(tmp_path: Path, wrap: str) -> None:
    expected = keys(weights(tmp_path)).sums(patches())
    assert np.array_equal(keys(weights(tmp_path, wrap)).sums(patches()), expected)


def test_patches_of_any_size_are_resized(tmp_path: Path) -> None:
    assert keys(weights(tmp_path)).sums([*patches(1), *patches(1, 90)]).shape == (2, 3)


def test_the_fingerprint_tells_what_shapes_the_sums(tmp_path: Path) -> None:
    path = weights(tmp_path)
    changes: list[dict[str, Any]] = [{}, {"codebook_semantic": "principal"}, {"float_pooling": True}, {"input_px": 256}]
    prints = [str(keys(path, **change).fingerprint()) for change in changes]
    assert len(set(prints)) == len(prints)
    assert keys(path, batch_size=1).fingerprint() == keys(path).fingerprint()


def test_auto_without_a_cohort_says_what_to_give() -> None:
    with pytest.raises(WeightsUnavailable, match="checkpoint=auto: vqvae is trained when a cohort is extracted"):
        keys("auto").sums(patches())


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(WeightsUnavailable, match="no codebook in it"):
        keys(tmp_path / "other.pt").sums(patches())


@pytest.mark.parametrize("side_px", [0, 100, 1000])
def test_maps_that_cannot_be_halved_are_refused(side_px: int) -> None:
    with pytest.raises(ConfigError, match=f"input_px is {side_px}, expected a multiple of 128"):
        keys("auto", input_px=side_px)


def test_principal_order_puts_similar_codewords_next_to_each_other() -> None:
    rng = np.random.default_rng(0)
    place = rng.permutation(20)
    codewords = (place[:, None] * np.array([[1.0, -2.0, 0.5]]) + rng.normal(0, 0.01, (20, 3))).astype(np.float32)
    order = codeword_order("principal", codewords)
    assert order.tolist() in (place.tolist(), (19 - place).tolist())
    assert codeword_order(None, codewords).tolist() == list(range(20))


@pytest.mark.parametrize("as_dict", [True, False])
def test_an_order_is_read_from_a_file(tmp_path: Path, as_dict: bool) -> None:
    new = [2, 0, 1]
    torch.save(dict(enumerate(new)) if as_dict else torch.tensor(new), tmp_path / "order.pt")
    assert codeword_order(str(tmp_path / "order.pt"), np.zeros((3, 2), np.float32)).tolist() == new
    with pytest.raises(WeightsUnavailable, match="does not number 4 codewords"):
        codeword_order(str(tmp_path / "order.pt"), np.zeros((4, 2), np.float32))


class Means:
    """The mean colour of a patch."""

    name, dim, mpp, batch_size = "means", 3, 0.5, 2

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name}

    def encode(self, patches: Any) -> np.ndarray:
        return np.stack([patch.mean((0, 1)) for patch in patches]).astype(np.float32)


def test_a_keyed_encoder_gives_sums_and_features_side_by_side(tmp_path: Path) -> None:
    key_encoder = keys(weights(tmp_path))
    keyed = KeyedEncoder(key_encoder, Means())
    assert isinstance(key_encoder, KeyEncoder)
    assert isinstance(keyed, Encoder)
    features = keyed.encode(patches())
    assert features.shape == (3, keyed.dim) == (3, 6)
    assert np.array_equal(features[:, 3:], Means().encode(patches()))
    assert (keys_of(features[:, :3]) > 0).all()
    assert keyed.name == "vqvae+means"
    assert keyed.fingerprint() == {"key_encoder": key_encoder.fingerprint(), "encoder": {"name": "means"}}
