"""Networks of timm: the architecture by name, the weights from a file of its state dict.

Source: huggingface/pytorch-image-models. `checkpoint_filter_fn` of its vision_transformer.py turns the key names of the
DINOv2 repository (facebookresearch/dinov2) into timm's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.weights import load_strictly, read_state, renamed

Features = Literal["pooled", "cls", "cls+mean", "map", "layer3"]


@dataclass(frozen=True)
class TimmNetwork:
    """A timm network without its classifier.

    Attributes:
        architecture: name in timm.
        kwargs: of `timm.create_model`.
        swiglu: a ViT whose blocks have packed SwiGLU layers; the `mlp_ratio` counts both of their halves.
        features_from: `pooled`, what the network without classifier gives; `cls`, the class token; `cls+mean`, the
            class token and the mean of the patch tokens, without registers; `map`, the mean over space of the last
            maps, before any layer of the head; `layer3`, the mean over space of the third stage.
        dinov2_keys: the checkpoint has the key names of the DINOv2 repository.
        rename: patterns in the checkpoint's keys and what stands for them.
        ignore: patterns of keys that are left out.
    """

    architecture: str
    features_from: Features
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    swiglu: bool = False
    dinov2_keys: bool = False
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        import timm  # here, so that missing weights are reported before the seconds that this takes
        from timm.layers.mlp import SwiGLUPacked

        layers: dict[str, Any] = {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU} if self.swiglu else {}
        module: nn.Module = timm.create_model(self.architecture, num_classes=0, **self.kwargs, **layers)
        if self.features_from == "map":
            module.head = nn.Identity()
        return module

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        state = renamed(read_state(path), self.rename, self.ignore)
        module: Any = self.build()
        if self.dinov2_keys:
            from timm.models import vision_transformer

            state = vision_transformer.checkpoint_filter_fn(state, module)
        return load_strictly(module, state, path)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Features by the rule of `features_from`."""
        if self.features_from == "pooled":
            return _tensor(module(images))
        if self.features_from == "layer3":
            return _layer3(module, images).mean((2, 3))
        last = _tensor(module.forward_features(images))
        if self.features_from == "map":
            return last.mean((2, 3))
        if self.features_from == "cls":
            return last[:, 0]
        return torch.cat([last[:, 0], last[:, module.num_prefix_tokens :].mean(1)], dim=1)

    def fingerprint(self) -> dict[str, Any]:
        """Architecture, its settings and the feature rule."""
        return {
            "architecture": self.architecture,
            "kwargs": dict(self.kwargs),
            "swiglu": self.swiglu,
            "features": self.features_from,
        }


def _layer3(module: Any, images: Tensor) -> Tensor:
    (maps,) = module.forward_intermediates(images, indices=[3], intermediates_only=True, stop_early=True)
    return _tensor(maps)


def _tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value
