"""The network of CCL: a ResNet, a hidden layer, and two linear layers of unit rows, for patches and for groups.

Source: Xiyue-Wang/RetCCL, ResNet.py with mlp, two_branch and normlinear.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, normalize


class UnitLinear(nn.Module):
    """The cosine of each input with each of `dim_out` directions."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(normalize(torch.empty(dim_out, dim_in).uniform_(-1, 1), dim=1))

    def forward(self, vectors: Float[Tensor, "patch in"]) -> Float[Tensor, "patch out"]:
        """Cosines, -1 to 1."""
        return linear(normalize(vectors, dim=1), normalize(self.weight, dim=1))


class TwoBranches(nn.Module):
    """Images to a unit vector for instances and one for groups.

    Args:
        backbone: name in timm; its weights are what an encoder loads.
        dim: of both vectors.
    """

    def __init__(self, backbone: str, dim: int) -> None:
        import timm  # here, so that configurations are checked before the seconds that this takes

        super().__init__()
        made: Any = timm.create_model(backbone, num_classes=0)
        width: int = made.num_features
        self.backbone = made
        self.hidden = nn.Sequential(nn.Linear(width, width), nn.ReLU())
        self.instance = UnitLinear(width, dim)
        self.group = UnitLinear(width, dim)

    def forward(
        self, images: Float[Tensor, "patch 3 height width"]
    ) -> tuple[Float[Tensor, "patch dim"], Float[Tensor, "patch dim"]]:
        """Unit vectors of the instance and of the group branch."""
        hidden = self.hidden(self.backbone(images))
        return normalize(self.instance(hidden), dim=1), normalize(self.group(hidden), dim=1)
