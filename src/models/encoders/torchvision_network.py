"""Networks of torchvision whose maps come from a part named `features`, such as SqueezeNet, VGG and MobileNet.

Source: pytorch/vision, torchvision.models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import get_model

from src.models.weights import load_checkpoint


@dataclass(frozen=True)
class TorchvisionNetwork:
    """The maps of a torchvision network, without its classifier.

    Attributes:
        architecture: name in torchvision.
        rename: patterns in the checkpoint's keys and what stands for them.
        ignore: patterns of keys that are left out.
    """

    architecture: str
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        module: nn.Module = get_model(self.architecture, weights=None)
        module.classifier = nn.Identity()
        return module

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        return load_checkpoint(self.build(), path, self.rename, self.ignore)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Average of the last maps over space."""
        maps: Tensor = module.features(images)
        return maps.mean((2, 3))

    def fingerprint(self) -> dict[str, Any]:
        """Architecture and the feature rule."""
        return {"architecture": self.architecture, "features": "map"}
