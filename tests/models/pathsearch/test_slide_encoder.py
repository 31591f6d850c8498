from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from src.errors import ConfigError
from src.models.pathsearch.slide_encoder import SlideEncoder, unit

close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)


def n_parameters(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def recorded(golden_dir: Path) -> tuple[SlideEncoder, dict[str, Tensor]]:
    with np.load(golden_dir / "pathsearch_slide_encoder.npz", allow_pickle=False) as file:
        values = {name: torch.from_numpy(file[name]) for name in file.files}
    state = {name.removeprefix("state/"): value for name, value in values.items() if name.startswith("state/")}
    n_mosaics = values["mosaic0"].shape[1]
    dim, dim_in = state["proj.0.weight"].shape
    encoder = SlideEncoder(dim_in, dim, n_mosaics)
    encoder.load_state_dict(state)
    return encoder.eval(), values


@pytest.mark.golden
def test_recorded_slides_have_the_recorded_vectors(golden_dir: Path) -> None:
    encoder, values = recorded(golden_dir)
    n_bags = sum(name.startswith("bag") for name in values)
    assert n_bags
    for i in range(n_bags):
        with torch.no_grad():
            vectors = encoder(values[f"bag{i}"])
        close(vectors.slide, values[f"global{i}"])
        close(vectors.mosaic, values[f"mosaic{i}"])
        close(unit(vectors).slide, values[f"global_norm{i}"])
        close(unit(vectors).mosaic, values[f"mosaic_norm{i}"])


@pytest.mark.golden
def test_recorded_tokens_leave_each_layer(golden_dir: Path) -> None:
    encoder, values = recorded(golden_dir)
    layers = {
        "after_layer1": encoder.trans_layer1,
        "after_ppeg": encoder.pos_layer,
        "after_layer2": encoder.trans_layer2,
    }
    seen: dict[str, Tensor] = {}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda module, inputs, tokens, name=name: seen.update({name: tokens}))
    with torch.no_grad():
        encoder(values["bag0"])
    for name in layers:
        close(seen[name], values[name])


@pytest.mark.golden
def test_published_encoder_has_as_many_parameters_as_counted(golden_dir: Path) -> None:
    counted = json.loads((golden_dir / "pathsearch_metrics.json").read_text())["params_768"]["visual"]
    assert n_parameters(SlideEncoder(768, 768, 16)) == counted == 9_321_377


@pytest.mark.parametrize("n_patches", [1, 2, 5, 40])
def test_any_number_of_patches_of_any_dimension_has_as_many_vectors(n_patches: int) -> None:
    vectors = SlideEncoder(11, 16, 3).eval()(torch.randn(2, n_patches, 11))
    assert vectors.slide.shape == (2, 16)
    assert vectors.mosaic.shape == (2, 3, 16)
    close(vectors.attention.sum(-1), torch.ones(2, 3))


@pytest.mark.parametrize(("dim", "n_mosaics"), [(0, 1), (12, 1), (16, 0)])
def test_sizes_that_cannot_be_built_are_refused(dim: int, n_mosaics: int) -> None:
    with pytest.raises(ConfigError, match=rf"^model pathsearch: dim is {dim} and n_mosaics {n_mosaics}[^\n]*$"):
        SlideEncoder(4, dim, n_mosaics)
