"""The gates of LGFFEM's fusion layers, which weigh each place of a map by what lies there or around it.

Source: LGFFEM (Sensors 2025, 25(5):1350), its local and global aggregators; camilo-nunez/ffnir at cac8757,
model/neck.py, whose names of parts are kept so that its checkpoints load.
Differs from the paper, as its code does: layers of LayerNorm, and layers that resize, stand before the gate.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import ConfigError

GrnMean = Literal["last", "channel"]
"""What the global response is divided by: its mean over the last axis, or over the channels."""

_EPS = 1e-6

Maps = Float[Tensor, "patch channel height width"]
Resized = Float[Tensor, "patch channel new_height new_width"]


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each place."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, maps: Maps) -> Maps:
        """Maps of the same shape."""
        last = maps.movedim(1, -1)
        normed = nn.functional.layer_norm(last, (maps.shape[1],), self.weight, self.bias, _EPS)
        return normed.movedim(-1, 1)


class GlobalResponseNorm(nn.Module):
    """gamma x N(x) + beta + x, where N(x) is how strong a channel is over the whole map.

    Args:
        n_channels: of the maps.
        mean: `channel` compares a channel with the mean channel, as in the paper and ConvNeXt V2. `last`, as in the
            code, takes the mean over an axis of one value, so that N(x) is 1 and channels do not compete.
    """

    def __init__(self, n_channels: int, mean: GrnMean) -> None:
        super().__init__()
        if mean not in ("last", "channel"):
            raise ConfigError(f"grn_mean_dim is {mean!r}; expected last or channel")
        self.gamma = nn.Parameter(torch.zeros(1, n_channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, n_channels, 1, 1))
        self.axis = 1 if mean == "channel" else -1

    def forward(self, maps: Maps) -> Maps:
        """Maps of the same shape."""
        strength = maps.norm(dim=(2, 3), keepdim=True)
        relative = strength / (strength.mean(dim=self.axis, keepdim=True) + _EPS)
        changed: Tensor = self.gamma * (maps * relative) + self.beta + maps
        return changed


class LocalAggregator(nn.Module):
    """A gate from each place alone.

    Args:
        n_channels: of the maps.
        is_doubling: make the maps twice as wide and high first.
    """

    def __init__(self, n_channels: int, is_doubling: bool = False) -> None:
        super().__init__()
        half = n_channels // 2
        self.alpha = nn.Parameter(torch.zeros(1))
        self.normup = ChannelNorm(n_channels) if is_doubling else None
        self.upsample = nn.ConvTranspose2d(n_channels, n_channels, 2, 2, groups=n_channels) if is_doubling else None
        self.norm = ChannelNorm(n_channels)
        self.pwconv1 = nn.Conv2d(n_channels, half, 1)
        self.pwconv2 = nn.Conv2d(half, n_channels, 1)

    def forward(self, maps: Maps) -> Resized:
        """Gated maps."""
        if self.upsample is not None and self.normup is not None:
            maps = self.upsample(self.normup(maps))
        gate = self.pwconv2(nn.functional.gelu(self.pwconv1(self.norm(maps)))).sigmoid()
        return _mixed(maps, gate, self.alpha)


class GlobalAggregator(nn.Module):
    """A gate from the surroundings of each place and from the whole map.

    Args:
        n_channels: of the maps.
        grn_mean: see `GlobalResponseNorm`.
        is_halving: make the maps half as wide and high first.
    """

    def __init__(self, n_channels: int, grn_mean: GrnMean, is_halving: bool = False) -> None:
        super().__init__()
        half = n_channels // 2
        self.alpha = nn.Parameter(torch.zeros(1))
        self.downsample = _depthwise(n_channels, stride=2) if is_halving else None
        self.normup = ChannelNorm(n_channels) if is_halving else None
        self.dwconv = _depthwise(n_channels, stride=1)
        self.norm = ChannelNorm(n_channels)
        self.pwconv1 = nn.Conv2d(n_channels, half, 1)
        self.gc = GlobalResponseNorm(half, grn_mean)
        self.pwconv2 = nn.Conv2d(half, n_channels, 1)

    def forward(self, maps: Maps) -> Resized:
        """Gated maps."""
        if self.downsample is not None and self.normup is not None:
            maps = self.normup(self.downsample(maps))
        hidden = nn.functional.gelu(self.pwconv1(self.norm(self.dwconv(maps))))
        return _mixed(maps, self.pwconv2(self.gc(hidden)).sigmoid(), self.alpha)


class ChannelReduction(nn.Module):
    """Maps of a backbone to maps with as many channels as the fusion layers have."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        half = n_in // 2
        self.pwconv1 = nn.Conv2d(n_in, half, 1, bias=False)
        self.norm = ChannelNorm(half)
        self.pwconv2 = nn.Conv2d(half, n_out, 1)

    def forward(self, maps: Float[Tensor, "patch in height width"]) -> Float[Tensor, "patch out height width"]:
        """Maps of the same size."""
        reduced: Tensor = self.pwconv2(nn.functional.gelu(self.norm(self.pwconv1(maps))))
        return reduced


def _depthwise(n_channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(n_channels, n_channels, 3, stride, padding=1, groups=n_channels, bias=False)


def _mixed(maps: Tensor, gate: Tensor, alpha: Tensor) -> Tensor:
    """How much of the maps passes the gate: alpha x + (1 - alpha) x s."""
    return alpha * maps + (1 - alpha) * maps * gate
