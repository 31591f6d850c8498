"""Operations per patch, against counts by hand and against the same network with memory."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from src.models.encoders.network import NetworkEncoder
from src.models.encoders.timm_network import TimmNetwork
from src.models.flops import flops_per_patch, native_input_px
from src.models.transforms import ImageTransform

CONF = Path(__file__).parents[2] / "conf" / "encoder"
TRANSFORM = ImageTransform(32, None, "bicubic", "squash", [0.5] * 3, [0.5] * 3)
TINY = TimmNetwork("vit_tiny_patch16_224", "cls", {"img_size": 32, "embed_dim": 16, "depth": 1, "num_heads": 2})


@dataclass(frozen=True)
class OneConvolution:
    """Three channels to two by a kernel of 4 x 4 pixels that never overlaps itself."""

    def build(self) -> nn.Module:
        return nn.Conv2d(3, 2, 4, stride=4)

    def load(self, path: Path) -> nn.Module:
        return self.build()

    def features(self, module: Any, images: Tensor) -> Tensor:
        maps: Tensor = module(images)
        return maps.mean((2, 3))

    def fingerprint(self) -> dict[str, Any]:
        return {}


def encoder(network: Any, transform: ImageTransform = TRANSFORM) -> NetworkEncoder:
    return NetworkEncoder("tiny", 2, "local", "nowhere", "none", 0.5, 48, network, transform)


def from_config(name: str) -> Any:
    return instantiate(OmegaConf.load(CONF / f"{name}.yaml"), _convert_="all")


def test_a_multiplication_and_an_addition_are_two_operations() -> None:
    places, products = 8 * 8 * 2, 4 * 4 * 3
    assert flops_per_patch(encoder(OneConvolution())) == 2 * places * products


def test_the_input_is_what_the_transform_makes_of_the_encoders_own_patch() -> None:
    assert native_input_px(encoder(OneConvolution(), replace(TRANSFORM, resize_px=[40, 20]))) == (40, 20)
    assert native_input_px(encoder(OneConvolution(), replace(TRANSFORM, resize_px=None))) == (48, 48)
    assert flops_per_patch(encoder(OneConvolution(), replace(TRANSFORM, resize_px=64))) == 4 * 2 * 128 * 48


def test_the_count_without_memory_is_that_of_the_running_network() -> None:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        TINY.features(TINY.build().eval(), torch.zeros(1, 3, 32, 32))
    assert flops_per_patch(encoder(TINY)) == counter.get_total_flops() > 0


def test_what_torch_cannot_build_has_no_count() -> None:
    for name in ("stain_texture", "path_foundation", "musk"):
        assert flops_per_patch(from_config(name)) is None


REFERENCES = {
    "uni": models.ViT_L_16_Weights.IMAGENET1K_V1,
    "plip": models.ViT_B_32_Weights.IMAGENET1K_V1,
    "mobilenetv3": models.MobileNet_V3_Large_Weights.IMAGENET1K_V1,
    "retccl": models.ResNet50_Weights.IMAGENET1K_V1,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_the_counts_are_those_that_torchvision_states(name: str) -> None:
    """Its tables hold billions of multiply-accumulates for images of 224 px, classifier included."""
    made = from_config(name)
    made.transform = replace(made.transform, resize_px=224)
    flops = flops_per_patch(made)
    assert flops is not None
    assert flops / 2e9 == pytest.approx(REFERENCES[name].meta["_ops"], rel=0.02)
