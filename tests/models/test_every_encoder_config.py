"""Every YAML of conf/encoder, without its weights: networks are built on torch's meta device, which takes no memory."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from src.errors import WeightsUnavailable
from src.interfaces import Encoder
from src.models.encoders.network import NetworkEncoder
from src.models.encoders.text import WITH_TEXT
from src.models.weights import load_strictly, renamed

CONF = Path(__file__).parents[2] / "conf" / "encoder"
CONFIGS = sorted(CONF.glob("*.yaml"))
LENGTHS: dict[tuple[str, tuple[int, ...]], int] = {}  # several models share an architecture
NEEDS_A_PACKAGE = {"musk", "path_foundation"}


def encoder(name: str) -> Any:
    return instantiate(OmegaConf.load(CONF / f"{name}.yaml"), _convert_="all")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_instantiates_without_loading_anything(path: Path) -> None:
    made = encoder(path.stem)
    assert made.name == path.stem
    assert made.access in ("open", "gated", "local")
    assert made.source
    assert made.licence
    assert 0.25 <= made.mpp <= 1.0
    assert isinstance(made, Encoder)


@pytest.mark.parametrize("name", [path.stem for path in CONFIGS if path.stem not in NEEDS_A_PACKAGE])
def test_its_network_makes_features_of_the_stated_length(name: str) -> None:
    made = encoder(name)
    patch = np.zeros((made.patch_size_px, made.patch_size_px, 3), np.uint8)
    if not isinstance(made, NetworkEncoder):
        assert made.encode([patch]).shape == (1, made.dim)
        return
    assert length_on_meta(name, tuple(made.transform(patch).shape)) == made.dim


def test_the_encoders_with_a_text_side_are_those_that_an_error_names() -> None:
    names = [path.stem for path in CONFIGS]
    assert tuple(name for name in names if encoder(name).has_text) == WITH_TEXT


@pytest.mark.parametrize(("name", "hint"), [("musk", "MUSK"), ("path_foundation", "pip install tensorflow")])
def test_a_missing_package_is_named(name: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=hint):
        encoder(name).network.load(tmp_path)


def test_virchow2_leaves_registers_out_of_the_mean() -> None:
    assert encoder("virchow2").network.kwargs["reg_tokens"] == 4


def test_here_ran_uni_with_timms_numbers() -> None:
    own, here = encoder("uni"), encoder("uni_here")
    assert (own.source, own.network) == (here.source, here.network)
    assert (here.transform.resize_px, here.transform.crop_px, here.transform.mean) == (248, 224, [0.5, 0.5, 0.5])


def official_state(name: str, module: torch.nn.Module) -> dict[str, Tensor]:
    """The state of a module under the key names of the published checkpoint, with what else lies in that file."""
    state, other = module.state_dict(), torch.empty(1, device="meta")
    if name == "kimianet":
        return {key.replace("features.", "model.0.", 1): value for key, value in state.items()} | {"fc_4.weight": other}
    if name == "densenet121":
        return {key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for key, value in state.items()}
    if name == "hipt":
        return {f"backbone.{key}": value for key, value in state.items()} | {"head.mlp.0.weight": other}
    if name == "conch":
        extra = ("text.cls_emb", "text_decoder.a", "logit_scale", "visual.proj_contrast", "visual.ln_caption.weight")
        return {f"visual.{key}": value for key, value in state.items()} | dict.fromkeys(extra, other)
    if name == "quiltnet_b16_pmb":
        return {f"visual.{key}": value for key, value in state.items()} | {"text.proj.0.weight": other}
    if name == "ctranspath":
        old = {key: value for key, value in state.items() if ".downsample." not in key}
        moved = {key: value for key, value in state.items() if ".downsample." in key}
        back = {f"layers.{int(key[7]) - 1}{key[8:]}": value for key, value in moved.items()}
        return old | back | {"layers.0.blocks.1.attn_mask": other, "head.weight": other}
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["kimianet", "densenet121", "hipt", "conch", "quiltnet_b16_pmb", "ctranspath"])
def test_the_published_key_names_fit(name: str) -> None:
    network = encoder(name).network
    with torch.device("meta"):
        module = network.build()
    load_strictly(module, renamed(official_state(name, module), network.rename, network.ignore), Path("official"))


def test_the_training_checkpoint_of_gpfm_gets_the_names_of_dinov2() -> None:
    network, value = encoder("gpfm").network, torch.empty(1, device="meta")
    names = (
        "backbone.blocks.0.5.attn.qkv.weight",
        "backbone.cls_token",
        "dino_head.mlp.0.weight",
        "blocks.7.norm1.bias",
    )
    assert list(renamed(dict.fromkeys(names, value), network.rename, network.ignore)) == [
        "blocks.5.attn.qkv.weight",
        "cls_token",
        "blocks.7.norm1.bias",
    ]


def test_conch_has_the_parameters_of_the_published_pooler() -> None:
    with torch.device("meta"):
        state = encoder("conch").network.build().state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items() if not key.startswith("trunk.")}
    assert shapes == {
        "attn_pool_contrast.query": (1, 512),
        "attn_pool_contrast.attn.q_proj_weight": (512, 512),
        "attn_pool_contrast.attn.k_proj_weight": (512, 768),
        "attn_pool_contrast.attn.v_proj_weight": (512, 768),
        "attn_pool_contrast.attn.in_proj_bias": (1536,),
        "attn_pool_contrast.attn.out_proj.weight": (512, 512),
        "attn_pool_contrast.attn.out_proj.bias": (512,),
        "attn_pool_contrast.ln_q.weight": (512,),
        "attn_pool_contrast.ln_q.bias": (512,),
        "attn_pool_contrast.ln_k.weight": (768,),
        "attn_pool_contrast.ln_k.bias": (768,),
        "ln_contrast.weight": (512,),
        "ln_contrast.bias": (512,),
    }


def length_on_meta(name: str, shape: tuple[int, ...]) -> int:
    network = encoder(name).network
    key = (json.dumps(network.fingerprint()), shape)
    if key not in LENGTHS:
        with torch.device("meta"):
            (LENGTHS[key],) = network.features(network.build().eval(), torch.empty(1, *shape))[0].shape
    return LENGTHS[key]
