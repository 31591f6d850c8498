"""LGFFEM's network against the recordings of the official code, and its published size."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from src.errors import ConfigError, WeightsUnavailable
from src.models.lgffem.aggregators import GlobalAggregator, GlobalResponseNorm, LocalAggregator
from src.models.lgffem.design import LgffemDesign
from src.models.lgffem.fusion import FusionLayer
from src.models.lgffem.head import GemHead
from src.models.lgffem.loss import sub_center_arcface

CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


def recorded(folder: Path) -> dict[str, Tensor]:
    with np.load(folder / "lgffem_neck_head.npz", allow_pickle=False) as file:
        return {name: torch.from_numpy(np.array(file[name])) for name in file.files}


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def loaded(module: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    module.load_state_dict(state, strict=True)
    return module.eval()


@pytest.mark.golden
@pytest.mark.parametrize("name", ["grn", "local", "local_up", "global", "global_down"])
def test_each_block_gives_what_the_official_one_gave(golden_dir: Path, name: str) -> None:
    block = part(recorded(golden_dir), f"block/{name}/")
    n = block["in"].shape[1]
    blocks: dict[str, nn.Module] = {
        "grn": GlobalResponseNorm(n, "last"),
        "local": LocalAggregator(n),
        "local_up": LocalAggregator(n, is_doubling=True),
        "global": GlobalAggregator(n, "last"),
        "global_down": GlobalAggregator(n, "last", is_halving=True),
    }
    module = loaded(blocks[name], part(block, "state/"))
    torch.testing.assert_close(module(block["in"]), block["out"], **CLOSE)


@pytest.mark.golden
def test_every_fusion_layer_gives_what_the_official_one_gave(golden_dir: Path) -> None:
    tensors = recorded(golden_dir)
    maps = tuple(part(tensors, "in/")[f"P{level}"] for level in range(4))
    n_channels = tensors["layer0/P0"].shape[1]
    for number in range(3):
        n_in = [each.shape[1] for each in maps] if number == 0 else None
        layer = FusionLayer(n_channels, "last", n_in)
        maps = loaded(layer, part(tensors, f"neck/neck_layer_{number}."))(maps)
        for level, each in enumerate(maps):
            torch.testing.assert_close(each, tensors[f"layer{number}/P{level}"], **CLOSE)


@pytest.mark.golden
def test_the_head_gives_what_the_official_one_gave(golden_dir: Path) -> None:
    tensors = recorded(golden_dir)
    maps = tuple(tensors[f"layer2/P{level}"] for level in range(4))
    head = loaded(GemHead(maps[0].shape[1], 4.6, 0.6), part(tensors, "head/"))
    torch.testing.assert_close(head(maps), tensors["embedding"], **CLOSE)
    for level, (own, each) in enumerate(zip(head.children(), maps, strict=True)):
        gem: Any = own.gem
        torch.testing.assert_close(gem(each), tensors[f"head{level}/gem"].flatten(1), **CLOSE)
        torch.testing.assert_close(own(each), tensors[f"head{level}/out"], **CLOSE)


def test_channels_compete_only_where_the_mean_is_over_channels() -> None:
    maps = torch.rand(1, 4, 3, 3)
    last, channel = GlobalResponseNorm(4, "last"), GlobalResponseNorm(4, "channel")
    for norm in (last, channel):
        nn.init.ones_(norm.gamma)
    torch.testing.assert_close(last(maps), 2 * maps, atol=1e-4, rtol=1e-4)
    strength = maps.norm(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(channel(maps), maps * strength / (strength.mean() + 1e-6) + maps)


def design_of(backbone: str = "mobilenetv2_035", **changed: Any) -> LgffemDesign:
    settings: dict[str, Any] = {"n_channels": 8, "n_layers": 2, "grn_mean_dim": "last", "gem_power": 4.6}
    return LgffemDesign(backbone, "hf://none/none/none", **{**settings, "dropout": 0.6, **changed})


def test_the_published_size_has_the_published_number_of_weights(golden_dir: Path) -> None:
    counts = json.loads((golden_dir / "lgffem_metrics.json").read_text())["params_full"]
    with torch.device("meta"):
        network = design_of("convnextv2_base.fcmae", n_channels=512, n_layers=3).build()
    learnt = network.learnt()
    n_of = {part: sum(v.numel() for name, v in learnt.items() if name.startswith(part)) for part in ("neck", "head")}
    assert n_of == {"neck": counts["neck"], "head": counts["head"]} == {"neck": 12_452_308, "head": 2_105_348}
    assert sum(value.numel() for value in learnt.values()) == 14_557_656


@pytest.mark.parametrize(
    "backbone",
    [
        *("convnextv2_tiny.fcmae", "convnext_tiny", "convnext_base", "caformer_s18", "caformer_b36"),
        *("regnety_080_tv", "regnety_320", "coatnet_1_rw_224", "coatnet_3_rw_224"),
    ],
)
def test_every_listed_backbone_gives_four_maps(backbone: str) -> None:
    with torch.device("meta"):
        network = design_of(backbone).build().eval()
        maps = network.maps(torch.empty(1, 3, 224, 224))
        assert [each.shape[2] for each in maps] == [56, 28, 14, 7]
        assert network.describe(maps).shape == (1, 32)


@pytest.mark.parametrize("backbone", ["convnextv2_atto", "mobilenetv2_035", "regnety_002"])
def test_the_maps_are_those_that_timm_calls_features(backbone: str) -> None:
    network = design_of(backbone).build().eval()
    only: Any = timm.create_model(backbone, features_only=True, out_indices=network.stages).eval()
    state = network.backbone.state_dict()
    if "convnext" in backbone:  # features_only flattens its names
        state = {re.sub(r"^(stem|stages)\.(\d)", r"\1_\2", name): value for name, value in state.items()}
    assert not only.load_state_dict(state, strict=False).missing_keys
    images = torch.rand(1, 3, 64, 64)
    for own, theirs in zip(network.maps(images), only(images), strict=True):
        torch.testing.assert_close(own, theirs)


def test_the_backbone_is_frozen_and_the_rest_learns() -> None:
    network = design_of().build().train()
    assert not network.backbone.training
    assert network.head.training
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    network(torch.rand(2, 3, 32, 32)).sum().backward()
    assert all(value.grad is not None for value in network.learnt().values())
    assert all(torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items())


def test_other_sides_than_multiples_of_32_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"images have 32 x 48 px; expected multiples of 32"):
        design_of().build()(torch.rand(1, 3, 48, 32))


def test_a_backbone_without_the_four_maps_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the backbone has no maps \[4, 8, 32\] times smaller"):
        design_of("vit_tiny_patch16_224").build()


def written(folder: Path, state: dict[str, Any]) -> Path:
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


def test_official_checkpoints_load_under_their_key_names(tmp_path: Path) -> None:
    trained, backbone = design_of().build().eval(), design_of().build()
    torch.save(backbone.backbone.state_dict(), tmp_path / "backbone.pth")
    parts = {"model_neck_state_dict": trained.neck.state_dict(), "model_head_state_dict": trained.head.state_dict()}
    path = written(tmp_path, {**parts, "loss_state_dict": {"W": torch.rand(32, 12)}, "epoch": 10})
    loaded = design_of(backbone_checkpoint=str(tmp_path / "backbone.pth")).load(path).eval()
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded(images), trained.describe(loaded.maps(images)))
    assert torch.equal(loaded.maps(images)[0], backbone.maps(images)[0])


def test_own_checkpoints_hold_all_that_is_needed(tmp_path: Path) -> None:
    trained = design_of().build().eval()
    loaded = design_of().load(written(tmp_path, {"state_dict": trained.state_dict()})).eval()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded(images), trained(images))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_channels": 16}, r"not weights of this LGFFEM: \d+ keys of another shape"),
        ({"n_layers": 1}, r"not weights of this LGFFEM: \d+ keys unexpected"),
        ({"grn_mean_dim": "channel"}, r"trained with grn_mean_dim=last; set grn_mean_dim=last"),
    ],
)
def test_weights_of_another_design_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = written(tmp_path, {"state_dict": design_of().build().state_dict()})
    with pytest.raises(WeightsUnavailable, match=message):
        design_of(**changed).load(path)


def test_a_backbone_that_no_hub_has_asks_for_its_file() -> None:
    with pytest.raises(WeightsUnavailable, match=r"set backbone_checkpoint=FILE$"):
        LgffemDesign("mobilenetv2_035", "a file", 8, 1, "last", 4.6, 0.6).pretrained()


@pytest.mark.golden
@pytest.mark.parametrize(("name", "is_official"), [("code_scale_eq_margin", True), ("paper_scale_64", False)])
def test_the_loss_and_its_gradient_are_the_recorded_ones(golden_dir: Path, name: str, is_official: bool) -> None:
    with np.load(golden_dir / "lgffem_subcenter_arcface.npz", allow_pickle=False) as file:
        values = {key: torch.from_numpy(np.array(file[key])) for key in file.files}
    dim, n_centres = values["W"].shape
    loss = sub_center_arcface(n_centres // 6, dim, 17.2, 64.0, 6, official_scale_is_margin=is_official)
    loss.W.data = values["W"]
    descriptors = values["emb"].requires_grad_()
    found = loss(descriptors, values["y"])
    found.backward()
    torch.testing.assert_close(found.detach(), values[f"{name}/loss"], **CLOSE)
    torch.testing.assert_close(descriptors.grad, values[f"{name}/grad"], **CLOSE)


def test_margins_that_saturate_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.margin_degrees is 21.0; expected 0 to 20.1"):
        sub_center_arcface(3, 8, 21.0, 64.0, 6, max_margin_degrees=20.1)
