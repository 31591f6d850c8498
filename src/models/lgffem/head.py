"""LGFFEM's head: one descriptor from four maps.

Source: see `aggregators`; model/lgffem.py. Generalised mean (GeM): Radenovic et al., TPAMI 2018.
Differs from the paper's formula FC(l2(FC(GeM))), as its code does: batch normalisation and dropout come after GeM.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.lgffem.aggregators import Maps
from src.models.lgffem.fusion import N_LEVELS, Levels

_EPS = 1e-6


class GeM(nn.Module):
    """The p-th root of the mean p-th power over a map; values below 1e-6 count as that."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.ones(1) * power)

    def forward(self, maps: Maps) -> Float[Tensor, "patch channel"]:
        """One value per channel."""
        pooled: Tensor = maps.clamp(min=_EPS).pow(self.p).mean((2, 3)).pow(1 / self.p)
        return pooled


class LevelHead(nn.Module):
    """The part of the descriptor that comes from one map."""

    def __init__(self, n_channels: int, power: float, dropout: float) -> None:
        super().__init__()
        self.gem = GeM(power)
        self.bn = nn.BatchNorm1d(n_channels)
        self.do = nn.Dropout(dropout)
        self.fc = nn.Linear(n_channels, n_channels)
        self.fc_norm = nn.Linear(n_channels, n_channels)

    def forward(self, maps: Maps) -> Float[Tensor, "patch channel"]:
        """Values that are not normalised."""
        hidden = self.fc(self.do(self.bn(self.gem(maps))))
        part: Tensor = self.fc_norm(nn.functional.normalize(hidden, dim=-1))
        return part


class GemHead(nn.Module):
    """Four maps to a descriptor of four times their channels, not normalised."""

    def __init__(self, n_channels: int, power: float, dropout: float) -> None:
        super().__init__()
        for level in range(1, N_LEVELS + 1):
            self.add_module(f"h{level}", LevelHead(n_channels, power, dropout))

    def forward(self, maps: Levels) -> Float[Tensor, "patch dim"]:
        """The parts side by side, finest level first."""
        return torch.cat([head(each) for head, each in zip(self.children(), maps, strict=True)], dim=1)
