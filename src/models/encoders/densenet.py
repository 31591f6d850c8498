"""DenseNet-121 before its last ReLU: the texture features of Yottixel, SISH and KimiaNet.

Sources: SISH (mahmoodlab/SISH, build_index.py) pools the output of the last batch normalisation; KimiaNet
(KimiaLabMayo/KimiaNet, both feature extraction samples) does the same. `final_relu` gives the network's own pooling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import densenet121

from src.models.weights import load_checkpoint


@dataclass(frozen=True)
class DenseNet121:
    """torchvision's DenseNet-121 up to its global average.

    Attributes:
        final_relu: apply the ReLU that stands between the last batch normalisation and the average.
        rename: patterns in the checkpoint's keys and what stands for them.
        ignore: patterns of keys that are left out.
    """

    final_relu: bool = False
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        module: nn.Module = densenet121(weights=None)
        module.classifier = nn.Identity()
        return module

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        return load_checkpoint(self.build(), path, self.rename, self.ignore)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Average over space, 1024 values."""
        maps: Tensor = module.features(images)
        return (maps.relu() if self.final_relu else maps).mean((2, 3))

    def fingerprint(self) -> dict[str, Any]:
        """Architecture and the feature rule."""
        return {"architecture": "densenet121", "final_relu": self.final_relu}
