"""MUSK through its authors' package, which is not on PyPI.

Source: Xiang et al., Nature 2025, lilab-stanford/MUSK. `with_head` gives 1024 values in the space of text,
`multi_scale` the 2048 values that the authors use for images alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import WeightsUnavailable
from src.models.weights import load_checkpoint

_INSTALL = "pip install fairscale git+https://github.com/lilab-stanford/MUSK"


@dataclass(frozen=True)
class MuskNetwork:
    """The image side of MUSK.

    Attributes:
        with_head: project to the space of text.
        multi_scale: run at two scales and concatenate.
        ignore: patterns of keys that are left out.
    """

    with_head: bool = False
    multi_scale: bool = False
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        try:
            importlib.import_module("musk.modeling")  # registers the architecture with timm
        except ImportError:
            raise WeightsUnavailable(f"musk: the authors' package is missing; {_INSTALL}") from None
        module: nn.Module = timm.create_model("musk_large_patch16_384")
        return module

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        return load_checkpoint(self.build(), path, {}, self.ignore)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Features of the image alone."""
        outputs = module(
            image=images, with_head=self.with_head, out_norm=False, ms_aug=self.multi_scale, return_global=True
        )
        features: Tensor = outputs[0]
        return features

    def fingerprint(self) -> dict[str, Any]:
        """Architecture and the feature rule."""
        return {"architecture": "musk_large_patch16_384", "with_head": self.with_head, "multi_scale": self.multi_scale}
