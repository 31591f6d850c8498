"""Each way of loading, with small checkpoints made here."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from src.errors import WeightsUnavailable
from src.models.encoders.conch import _Pooler, _PoolerWithoutBias
from src.models.encoders.densenet import DenseNet121
from src.models.encoders.open_clip_network import OpenClipNetwork
from src.models.encoders.path_foundation import PathFoundation
from src.models.encoders.timm_network import TimmNetwork
from src.models.encoders.torchvision_network import TorchvisionNetwork
from src.models.encoders.transformers_network import TransformersClip, TransformersViT

TINY: dict[str, Any] = {"img_size": 28, "patch_size": 14, "embed_dim": 16, "depth": 2, "num_heads": 2}
TINY_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 16,
}
SIDE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY_CLIP = {"projection_dim": 8, "vision_config": {**SIDE, "image_size": 32, "patch_size": 16}, "text_config": SIDE}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def timm_model(name: str, **settings: Any) -> Any:
    return timm.create_model(name, **settings)


def saved(folder: Path, state: dict[str, Tensor]) -> Path:
    path = folder / "weights.pth"
    torch.save(state, path)
    return path


def images(side: int, n: int = 2) -> Tensor:
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def features(network: Any, path: Path, batch: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = network.features(network.load(path).eval(), batch)
    return result


def test_timm_class_token_and_mean_leave_registers_out(tmp_path: Path) -> None:
    settings = {**TINY, "reg_tokens": 3}
    model = timm_model("vit_tiny_patch16_224", num_classes=0, **settings).eval()
    path = saved(tmp_path, model.state_dict())
    with torch.inference_mode():
        tokens = model.forward_features(images(28))  # class, 3 registers, 4 patches
    both = features(TimmNetwork("vit_tiny_patch16_224", "cls+mean", settings), path, images(28))
    torch.testing.assert_close(both, torch.cat([tokens[:, 0], tokens[:, 4:].mean(1)], 1))
    alone = features(TimmNetwork("vit_tiny_patch16_224", "cls", settings), path, images(28))
    torch.testing.assert_close(alone, tokens[:, 0])


def test_timm_class_token_is_what_the_headless_vit_gives(tmp_path: Path) -> None:
    path = saved(tmp_path, timm_model("vit_tiny_patch16_224", num_classes=0, **TINY).state_dict())
    cls, pooled = (
        features(TimmNetwork("vit_tiny_patch16_224", rule, TINY), path, images(28)) for rule in ("cls", "pooled")
    )
    torch.testing.assert_close(cls, pooled)


def test_timm_layer3_is_the_mean_of_the_third_stage(tmp_path: Path) -> None:
    model = timm_model("resnet18").eval()
    path = saved(tmp_path, model.state_dict())
    seen: list[Tensor] = []
    model.layer3.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.inference_mode():
        model(images(64))
    torch.testing.assert_close(features(TimmNetwork("resnet18", "layer3"), path, images(64)), seen[0].mean((2, 3)))


def test_timm_map_needs_no_layer_of_the_head(tmp_path: Path) -> None:
    model = timm_model("convnextv2_atto").eval()
    path = saved(tmp_path, {key: value for key, value in model.state_dict().items() if not key.startswith("head.")})
    with torch.inference_mode():
        expected = model.forward_features(images(64)).mean((2, 3))
    torch.testing.assert_close(features(TimmNetwork("convnextv2_atto", "map"), path, images(64)), expected)


def test_timm_loads_the_key_names_of_dinov2(tmp_path: Path) -> None:
    settings = {**TINY, "reg_tokens": 2, "no_embed_class": True, "init_values": 1e-5}
    network = TimmNetwork("vit_tiny_patch16_224", "cls", settings, swiglu=True, dinov2_keys=True)
    own = network.build().state_dict()
    names = {"reg_token": "register_tokens", "mlp.fc1": "mlp.w12", "mlp.fc2": "mlp.w3"}
    state = {"mask_token": torch.zeros(1, 16)}
    for key, value in own.items():
        for new, old in names.items():
            key = key.replace(new, old)
        state[key] = value
    state["pos_embed"] = torch.cat([torch.zeros(1, 1, 16), own["pos_embed"]], 1)  # one more, for the class token
    loaded = network.load(saved(tmp_path, state)).state_dict()
    assert all(torch.equal(loaded[key], own[key]) for key in own)


def test_timm_refuses_weights_of_another_depth(tmp_path: Path) -> None:
    path = saved(tmp_path, timm_model("vit_tiny_patch16_224", num_classes=0, **{**TINY, "depth": 1}).state_dict())
    with pytest.raises(WeightsUnavailable, match=r"12 keys missing \(blocks\.1\.attn\.proj\.bias, .*\.\.\.\)"):
        TimmNetwork("vit_tiny_patch16_224", "cls", TINY).load(path)


def test_densenet_before_the_last_relu_can_be_negative(tmp_path: Path) -> None:
    path = saved(tmp_path, DenseNet121().build().state_dict())
    before = features(DenseNet121(), path, images(32, n=1))
    after = features(DenseNet121(final_relu=True), path, images(32, n=1))
    assert before.shape == after.shape == (1, 1024)
    assert before.min() < 0 <= after.min()


def test_torchvision_features_are_the_mean_of_the_last_maps(tmp_path: Path) -> None:
    reference = models.squeezenet1_0(weights=None).eval()
    path = saved(tmp_path, reference.state_dict())
    with torch.inference_mode():
        expected = reference.features(images(64)).mean((2, 3))
    torch.testing.assert_close(features(TorchvisionNetwork("squeezenet1_0"), path, images(64)), expected)


def test_open_clip_puts_patches_and_text_into_one_space(tmp_path: Path) -> None:
    config = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (tmp_path / "tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-clip.json")
    network = OpenClipNetwork("tiny-clip")
    path = saved(tmp_path, network.build().state_dict())
    assert features(network, path, images(32)).shape == (2, 8)
    with torch.inference_mode():
        texts = network.text_features(network.load(path).eval(), ["tumour", "normal colon", "tumour"])
    assert texts.shape == (3, 8)
    torch.testing.assert_close(texts[0], texts[2])
    assert not torch.allclose(texts[0], texts[1])


def old_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The key names under which transformers saved a ViT before version 5, as the published checkpoints have them."""
    names = {"layers.": "encoder.layer.", "attention.o_proj": "attention.output.dense"}
    names |= {f"attention.{new[0]}_proj": f"attention.attention.{new}" for new in ("query", "key", "value")}
    names |= {"mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense"}
    renamed = {}
    for key, value in state.items():
        for new, old in names.items():
            key = key.replace(new, old)
        renamed[key] = value
    return renamed


def test_transformers_loads_checkpoints_with_the_names_of_older_versions(tmp_path: Path) -> None:
    network = TransformersViT("ViT", TINY_VIT, ignore=[r"^pooler\."])
    module = network.build().eval()
    state = old_names(module.state_dict())
    assert "encoder.layer.0.attention.attention.query.weight" in state
    path = saved(tmp_path, {**state, "pooler.dense.weight": torch.zeros(2, 2)})
    with torch.inference_mode():
        expected = network.features(module, images(32))
    torch.testing.assert_close(features(network, path, images(32)), expected)


def test_transformers_mean_leaves_registers_out(tmp_path: Path) -> None:
    config = {**TINY_VIT, "num_register_tokens": 3, "use_swiglu_ffn": True}
    network = TransformersViT("Dinov2WithRegisters", config, features_from="cls+mean")
    module = network.build().eval()
    with torch.inference_mode():
        tokens = module(pixel_values=images(32)).last_hidden_state
    expected = torch.cat([tokens[:, 0], tokens[:, 4:].mean(1)], 1)
    torch.testing.assert_close(features(network, saved(tmp_path, module.state_dict()), images(32)), expected)


def test_transformers_never_runs_with_weights_that_a_file_lacks(tmp_path: Path) -> None:
    network = TransformersViT("ViT", TINY_VIT)
    state = old_names(network.build().state_dict())
    state["more"] = torch.zeros(1)
    state["embeddings.cls_token"] = torch.zeros(1, 1, 5)
    del state["layernorm.weight"]
    with pytest.raises(WeightsUnavailable) as error:
        network.load(saved(tmp_path, state))
    for part in ("missing (layernorm.weight)", "unexpected (more)", "another shape (embeddings.cls_token)"):
        assert part in str(error.value)


def test_plip_puts_patches_and_text_into_one_space(tmp_path: Path) -> None:
    network = TransformersClip(TINY_CLIP)
    path = saved(tmp_path, network.build().state_dict())
    assert features(network, path, images(32)).shape == (2, 8)
    with torch.inference_mode():
        assert network.text_features(network.load(path).eval(), ["tumour"]).shape == (1, 8)


def test_the_pooler_of_conch_v1_5_is_attention_without_biases() -> None:
    plain, reference = _PoolerWithoutBias(dim=16, token_dim=24, n_heads=4), _Pooler(dim=16, token_dim=24, n_heads=4)
    nn.init.normal_(plain.query)
    keys, values = plain.to_kv.weight.chunk(2)
    state = {
        name: plain.state_dict()[name] for name in ("query", "ln_q.weight", "ln_q.bias", "ln_k.weight", "ln_k.bias")
    }
    state |= {"attn.q_proj_weight": plain.to_q.weight, "attn.k_proj_weight": keys, "attn.v_proj_weight": values}
    state |= {"attn.out_proj.weight": plain.to_out.weight}
    state |= {"attn.in_proj_bias": torch.zeros(48), "attn.out_proj.bias": torch.zeros(16)}
    reference.load_state_dict(state)
    tokens = torch.randn(2, 5, 24)
    torch.testing.assert_close(plain(tokens), reference(tokens))


def test_path_foundation_calls_the_serving_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(pixels: np.ndarray) -> dict[str, Any]:
        return {"output_0": SimpleNamespace(numpy=lambda: pixels.mean((1, 2)))}

    model = SimpleNamespace(signatures={"serving_default": serve})
    tensorflow = SimpleNamespace(saved_model=SimpleNamespace(load=lambda folder: model), constant=lambda value: value)
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    with pytest.raises(WeightsUnavailable, match=r"no saved_model\.pb"):
        PathFoundation().load(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    torch.testing.assert_close(features(PathFoundation(), tmp_path, images(8)), images(8).mean((2, 3)))
