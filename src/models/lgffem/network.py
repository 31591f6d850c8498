"""LGFFEM: the maps of a frozen backbone, fused three times, become one descriptor of a patch.

Source: see `aggregators`. Published size: ConvNeXtV2-Base (FCMAE) below, 512 channels, three layers: 14,557,656 weights
that are learnt, the paper's 1.45e7.
Differs from the code: the frozen backbone stays as in evaluation, which for ConvNeXt makes no difference; of any
backbone the four maps are taken that are 4, 8, 16 and 32 times smaller than the picture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import ConfigError, WeightsUnavailable
from src.models.lgffem.aggregators import GrnMean
from src.models.lgffem.fusion import FusionLayer, Levels
from src.models.lgffem.head import GemHead
from src.models.weights import read_torch, refuse_misfits

STRIDES = (4, 8, 16, 32)
OFFICIAL_PARTS = {"model_neck_state_dict": "neck.", "model_head_state_dict": "head."}
"""The parts of an official checkpoint, which has no backbone."""

_ADVICE = "give the checkpoint of an LGFFEM with this backbone, these channels and layers"


class Lgffem(nn.Module):
    """Normalised images to descriptors.

    Args:
        backbone: a network of timm, with its weights.
        n_channels: of the fused maps; a descriptor has four times as many values.
        n_layers: fusion layers.
        grn_mean_dim: see `GlobalResponseNorm`.
        gem_power: p of GeM at the start.
        dropout: before the linear layers.

    Raises:
        ConfigError: a backbone without the four maps, or a setting out of range.
    """

    grn_over_channels: Tensor

    def __init__(
        self, backbone: Any, n_channels: int, n_layers: int, grn_mean_dim: GrnMean, gem_power: float, dropout: float
    ) -> None:
        super().__init__()
        if n_channels < 2 or n_layers < 1 or gem_power <= 0 or not 0 <= dropout < 1:
            raise ConfigError(
                f"lgffem: n_channels is {n_channels}, n_layers {n_layers}, gem_power {gem_power}, dropout {dropout}; "
                "expected at least 2, at least 1, above 0 and 0 to below 1"
            )
        self.backbone = backbone.requires_grad_(False).eval()
        self.stages, n_in = _stages(backbone)
        layers = [FusionLayer(n_channels, grn_mean_dim, n_in if number == 0 else None) for number in range(n_layers)]
        named: dict[str, nn.Module] = {f"neck_layer_{number}": layer for number, layer in enumerate(layers)}
        self.neck = nn.Sequential(OrderedDict(named))
        self.head = GemHead(n_channels, gem_power, dropout)
        # Kept with the weights, which would fit the other way too and give other descriptors.
        self.register_buffer("grn_over_channels", torch.tensor(grn_mean_dim == "channel"))

    def forward(self, images: Float[Tensor, "patch 3 height width"]) -> Float[Tensor, "patch dim"]:
        """Descriptors, not normalised.

        Raises:
            ConfigError: sides that are no multiples of 32.
        """
        return self.describe(self.maps(images))

    def maps(self, images: Float[Tensor, "patch 3 height width"]) -> Levels:
        """What the backbone sees, without gradient."""
        height, width = images.shape[2:]
        if height % STRIDES[-1] or width % STRIDES[-1]:
            raise ConfigError(f"lgffem: images have {width} x {height} px; expected multiples of {STRIDES[-1]}")
        with torch.no_grad():
            backbone: Any = self.backbone
            p1, p2, p3, p4 = backbone.forward_intermediates(images, indices=self.stages, intermediates_only=True)
        return p1, p2, p3, p4

    def describe(self, maps: Levels) -> Float[Tensor, "patch dim"]:
        """Descriptors of what the backbone saw."""
        descriptors: Tensor = self.head(self.neck(maps))
        return descriptors

    def train(self, mode: bool = True) -> Lgffem:
        """All but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def learnt(self) -> dict[str, nn.Parameter]:
        """The weights that are trained."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def load(self, path: Path, with_backbone: bool) -> Lgffem:
        """Take the weights of a file, official or of train.py; the backbone's only where asked for and given.

        Raises:
            WeightsUnavailable: not an LGFFEM, of another size, or trained with another response norm.
        """
        given = descriptor_state(path)
        own = self.state_dict()
        flag = given.pop("grn_over_channels", None)
        if flag is not None and bool(flag) != bool(self.grn_over_channels):
            trained = "channel" if bool(flag) else "last"
            raise WeightsUnavailable(f"{path}: trained with grn_mean_dim={trained}; set grn_mean_dim={trained}")
        given = {name: value for name, value in given.items() if with_backbone or not name.startswith("backbone.")}
        has_backbone = any(name.startswith("backbone.") for name in given)
        wanted = [name for name in own if name != "grn_over_channels" and (has_backbone or name[:9] != "backbone.")]
        refuse_misfits(
            path,
            missing=[name for name in wanted if name not in given],
            unexpected=[name for name in given if name not in own],
            reshaped=[name for name in given if name in own and given[name].shape != own[name].shape],
            owner="LGFFEM",
            advice=_ADVICE,
        )
        self.load_state_dict(given, strict=False)
        return self


def descriptor_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, under the names of `Lgffem`."""
    raw = read_torch(path)
    if all(isinstance(raw.get(part), Mapping) for part in OFFICIAL_PARTS):
        return {prefix + name: value for part, prefix in OFFICIAL_PARTS.items() for name, value in raw[part].items()}
    state = raw.get("state_dict", raw)
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def _stages(backbone: Any) -> tuple[list[int], list[int]]:
    """Places and channels of the maps that are 4, 8, 16 and 32 times smaller; of equally small ones the last."""
    found = {stage["reduction"]: (place, stage["num_chs"]) for place, stage in enumerate(backbone.feature_info)}
    missing = [stride for stride in STRIDES if stride not in found]
    if missing:
        raise ConfigError(
            f"lgffem: the backbone has no maps {missing} times smaller, only {sorted(found)}; take another"
        )
    return [found[stride][0] for stride in STRIDES], [found[stride][1] for stride in STRIDES]
