"""The transforms of conf/encoder against the libraries that the published code takes them from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from PIL import Image
from torchvision import transforms

CONF = Path(__file__).parents[2] / "conf" / "encoder"


def of_timm(architecture: str) -> Any:
    """What HERE's extract_features.py resolves from a model that it has built itself."""
    with torch.device("meta"):
        model = timm.create_model(architecture, pretrained=False)
    data: Any = timm.data
    return data.create_transform(**data.resolve_data_config(model.pretrained_cfg, model=model))


def of_clip(side_px: int) -> Any:
    return open_clip.image_transform(side_px, is_train=False, mean=OPENAI_DATASET_MEAN, std=OPENAI_DATASET_STD)


def of_torchvision(resize_px: int, crop_px: int, mode: str) -> Any:
    return transforms.Compose(
        [
            transforms.Resize(resize_px, transforms.InterpolationMode(mode)),
            transforms.CenterCrop(crop_px),
            transforms.ToTensor(),
            transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        ]
    )


PUBLISHED: dict[str, Callable[[], Any]] = {
    "uni": lambda: of_torchvision(224, 224, "bilinear"),
    "uni_here": lambda: of_timm("vit_large_patch16_224"),
    "mobilenetv3": lambda: of_timm("mobilenetv3_large_100"),
    "gigapath": lambda: of_torchvision(256, 224, "bicubic"),
    "retccl": lambda: of_torchvision(256, 256, "bilinear"),
    "conch": lambda: of_clip(448),
    "clip": lambda: of_clip(224),
    "plip": lambda: of_clip(224),
    "quiltnet_b32": lambda: of_clip(224),
}
WHOLE_IMAGES = ("clip", "plip", "quiltnet_b16", "quiltnet_b16_pmb", "quiltnet_b32")


def seen_by(name: str, image: np.ndarray) -> torch.Tensor:
    transform = instantiate(OmegaConf.load(CONF / f"{name}.yaml").transform, _convert_="all")
    tensor: torch.Tensor = transform(image)
    return tensor


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_patch_looks_as_in_the_published_code(name: str) -> None:
    patch = picture(256, 256)
    torch.testing.assert_close(seen_by(name, patch), PUBLISHED[name]()(Image.fromarray(patch)))


@pytest.mark.parametrize("name", WHOLE_IMAGES)
def test_clip_sees_the_middle_of_an_image_that_is_not_square(name: str) -> None:
    image = picture(192, 255)
    torch.testing.assert_close(seen_by(name, image), of_clip(224)(Image.fromarray(image)))
