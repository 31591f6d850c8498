"""The image towers of CONCH and CONCH v1.5: a ViT whose tokens one learned query pools.

Sources: Lu et al., Nature Medicine 2024, mahmoodlab/CONCH (conch/open_clip_custom/vision_tower.py, transformer.py);
CONCH v1.5 as in mahmoodlab/TRIDENT (conchv1_5.py). Features are `encode_image(proj_contrast=False, normalize=False)`:
after the pooler's layer norm, before the projection. Names of attributes are those of the official checkpoints.
Differs from the official code: the pooler for captions and the text towers are left out, as they do not shape these
features; CONCH v1.5 interpolates its position embeddings by timm's bicubic rule, the source with an offset of 0.1
patches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.weights import load_checkpoint


@dataclass(frozen=True)
class ConchTower:
    """The image tower of CONCH (`v1`) or CONCH v1.5 (`v1_5`).

    Attributes:
        version: v1 is ViT-B/16 to 512 values, v1_5 is ViT-L/16 to 768 values.
        image_size_px: side of the images for which the checkpoint holds position embeddings.
        rename: patterns in the checkpoint's keys and what stands for them.
        ignore: patterns of keys that are left out.
    """

    version: Literal["v1", "v1_5"]
    image_size_px: int
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The tower with random weights."""
        if self.version == "v1":
            trunk = _trunk("vit_base_patch16_224", self.image_size_px)
            return _Tower(trunk, _Pooler(dim=512, token_dim=768), dim=512)
        trunk = _trunk("vit_large_patch16_224", self.image_size_px, init_values=1.0)
        return _Tower(trunk, _PoolerWithoutBias(dim=768, token_dim=1024), dim=768)

    def load(self, path: Path) -> nn.Module:
        """The tower with the weights of a file."""
        return load_checkpoint(self.build(), path, self.rename, self.ignore)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Pooled tokens."""
        pooled: Tensor = module(images)
        return pooled

    def fingerprint(self) -> dict[str, Any]:
        """Architecture and the feature rule."""
        return {"architecture": f"conch_{self.version}", "features": "pooled", "image_size_px": self.image_size_px}


class _Tower(nn.Module):
    def __init__(self, trunk: Any, pooler: nn.Module, dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.attn_pool_contrast = pooler
        self.ln_contrast = nn.LayerNorm(dim)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.trunk.forward_features(images)
        pooled: Tensor = self.ln_contrast(self.attn_pool_contrast(tokens))
        return pooled


class _Pooler(nn.Module):
    """One query attends to all tokens."""

    def __init__(self, dim: int, token_dim: int, n_heads: int = 8) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, dim))
        self.attn = nn.MultiheadAttention(dim, n_heads, kdim=token_dim, vdim=token_dim, batch_first=True)
        self.ln_q = nn.LayerNorm(dim)
        self.ln_k = nn.LayerNorm(token_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        keys = self.ln_k(tokens)  # (image, token, token_dim)
        query = self.ln_q(self.query).expand(len(keys), -1, -1)
        pooled: Tensor = self.attn(query, keys, keys, need_weights=False)[0]
        return pooled[:, 0]


class _PoolerWithoutBias(nn.Module):
    """The same with the projections of the heads as plain matrices."""

    def __init__(self, dim: int, token_dim: int, n_heads: int = 8) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Parameter(torch.zeros(1, dim))
        self.ln_k = nn.LayerNorm(token_dim)
        self.ln_q = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(token_dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        keys, values = self.to_kv(self.ln_k(tokens)).chunk(2, dim=-1)
        query = self.to_q(self.ln_q(self.query)).expand(len(tokens), -1, -1)
        heads = [part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in (query, keys, values)]
        pooled = nn.functional.scaled_dot_product_attention(*heads)  # (image, head, 1, dim / head)
        projected: Tensor = self.to_out(pooled.flatten(1))
        return projected


def _trunk(architecture: str, image_size_px: int, **kwargs: Any) -> Any:
    return timm.create_model(
        architecture, pretrained=False, num_classes=0, img_size=image_size_px, dynamic_img_size=True, **kwargs
    )
