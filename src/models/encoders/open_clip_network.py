"""CLIP and QuiltNet by open_clip: image features after the projection, so that text lies in the same space.

Source: mlfoundations/open_clip; weights of openai/CLIP and of QuiltNet (Ikezogwo et al., Quilt-1M, NeurIPS 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from src.models.weights import load_checkpoint


@dataclass(frozen=True)
class OpenClipNetwork:
    """Both towers of an open_clip architecture; its tokenizer comes with the package.

    Attributes:
        architecture: name in open_clip.
        rename: patterns in the checkpoint's keys and what stands for them.
        ignore: patterns of keys that are left out.
    """

    architecture: str
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        import open_clip  # here, so that missing weights are reported before the seconds that this takes

        module: nn.Module = open_clip.CLIP(**open_clip.get_model_config(self.architecture))
        return module

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        return load_checkpoint(self.build(), path, self.rename, self.ignore)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Projected class token."""
        projected: Tensor = module.encode_image(images)
        return projected

    def text_features(self, module: Any, texts: Sequence[str]) -> Float[Tensor, "text feature"]:
        """Projected features of texts of at most 77 tokens."""
        import open_clip

        tokens = open_clip.get_tokenizer(self.architecture)(list(texts))
        projected: Tensor = module.encode_text(tokens.to(next(module.parameters()).device))
        return projected

    def fingerprint(self) -> dict[str, Any]:
        """Architecture."""
        return {"architecture": self.architecture, "features": "projected"}


@dataclass(frozen=True)
class OpenClipTimmTower:
    """The image tower alone, where open_clip takes it from timm and projects it linearly.

    Attributes:
        architecture: name in timm.
        dim: of the projection.
        image_size_px: side of an image.
        rename: patterns in the checkpoint's keys and what stands for them.
        ignore: patterns of keys that are left out.
    """

    architecture: str
    dim: int
    image_size_px: int
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The tower with random weights."""
        from open_clip.timm_model import TimmModel

        tower: nn.Module = TimmModel(
            self.architecture,
            embed_dim=self.dim,
            image_size=self.image_size_px,
            pool="",
            proj="linear",
            pretrained=False,
        )
        return tower

    def load(self, path: Path) -> nn.Module:
        """The tower with the weights of a file."""
        return load_checkpoint(self.build(), path, self.rename, self.ignore)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Projected class token."""
        projected: Tensor = module(images)
        return projected

    def fingerprint(self) -> dict[str, Any]:
        """Architecture."""
        return {"architecture": self.architecture, "features": "projected"}
