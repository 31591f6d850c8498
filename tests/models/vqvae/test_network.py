"""The network against the official one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from src.models.vqvae.network import DOWNSAMPLE, Codebook, VqVaeEncoder, decoder


def shapes(module: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()}


def test_a_patch_is_sixteen_times_larger_than_its_map() -> None:
    codes = VqVaeEncoder(4, 8)(torch.rand(2, 3, 64, 96))
    assert codes.shape == (2, 64 // DOWNSAMPLE, 96 // DOWNSAMPLE)
    assert decoder(4)(torch.rand(2, 4, 4, 6)).shape == (2, 3, 64, 96)


def test_equally_near_codewords_go_to_the_first() -> None:
    codebook = Codebook(3, 2)
    codebook.embedding.weight.data = torch.tensor([[9.0, 9.0], [1.0, 0.0], [1.0, 0.0]])
    assert codebook.nearest(torch.tensor([1.0, 0.1]).view(1, 2, 1, 1)).item() == 1


@pytest.mark.golden
def test_parts_have_the_official_names_and_shapes(golden_dir: Path) -> None:
    official = json.loads((golden_dir / "g10_vqvae_state_dict.json").read_text())
    network = VqVaeEncoder(256, 128)
    assert shapes(network) == official["encode"]
    network.add_module("decoder", decoder(256))
    assert shapes(network) == official["full"]


@pytest.mark.golden
def test_a_twin_gives_the_official_maps_and_codewords(golden_dir: Path) -> None:
    with np.load(golden_dir / "g10_vqvae_tiny.npz", allow_pickle=False) as recorded:
        arrays = {name: torch.from_numpy(recorded[name]) for name in recorded}
    network = VqVaeEncoder(*reversed(arrays["sd.codebook.embedding.weight"].shape)).eval()
    network.load_state_dict({name[3:]: value for name, value in arrays.items() if name.startswith("sd.")})
    with torch.inference_mode():
        maps = network.encoder(arrays["x"])
    torch.testing.assert_close(maps, arrays["z"], rtol=1e-5, atol=1e-5)
    assert torch.equal(network.codebook.nearest(arrays["z"]), arrays["indices"])


@pytest.mark.golden
def test_rounding_to_codewords_is_the_official_one(golden_dir: Path) -> None:
    with np.load(golden_dir / "g10_quantize.npz", allow_pickle=False) as recorded:
        words, maps, indices = (torch.from_numpy(recorded[name]) for name in ("codebook", "z", "indices"))
    codebook = Codebook(*words.shape)
    codebook.embedding.weight.data = words
    assert torch.equal(codebook.nearest(maps), indices)
