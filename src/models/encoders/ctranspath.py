"""CTransPath: a Swin-T whose patches are embedded by a small convolutional stem.

Source: Wang et al., Medical Image Analysis 2022, Xiyue-Wang/TransPath (ctran.py, timm 0.5.4). Its checkpoints put the
downsampling at the end of a stage, current timm at the start of the next: `rename` of the config moves it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
from jaxtyping import Float
from torch import Tensor, nn

from src.models.weights import load_checkpoint


@dataclass(frozen=True)
class CTransPath:
    """Swin-T with a convolutional stem, 768 values.

    Attributes:
        rename: patterns in the checkpoint's keys and what stands for them.
        ignore: patterns of keys that are left out.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        module: nn.Module = timm.create_model(
            "swin_tiny_patch4_window7_224", pretrained=False, num_classes=0, embed_layer=ConvStem
        )
        return module

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        return load_checkpoint(self.build(), path, self.rename, self.ignore)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Mean of the last tokens."""
        pooled: Tensor = module(images)
        return pooled

    def fingerprint(self) -> dict[str, Any]:
        """Architecture."""
        return {"architecture": "ctranspath", "features": "pooled"}


class ConvStem(nn.Module):
    """Two strided convolutions and a pointwise one: images to a grid of tokens, four pixels apart."""

    def __init__(
        self, img_size: tuple[int, int], patch_size: int, embed_dim: int, norm_layer: type[nn.Module], **_: Any
    ) -> None:
        super().__init__()
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (img_size[0] // patch_size, img_size[1] // patch_size)
        self.proj = nn.Sequential(
            *_halving(3, embed_dim // 8),
            *_halving(embed_dim // 8, embed_dim // 4),
            nn.Conv2d(embed_dim // 4, embed_dim, 1),
        )
        self.norm = norm_layer(embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens, (image, row, column, channel)."""
        tokens: Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))
        return tokens


def _halving(n_in: int, n_out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
