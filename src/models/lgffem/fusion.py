"""LGFFEM's fusion layer: four maps, each of half the size of the one before, tell each other what they see.

Source: see `aggregators`; Eq. 6 of the paper. A node is a weighted sum of gated maps. First what coarse maps see goes
to the fine ones (P3_1, P2_1, P1_2), then it comes back (P2_2, P3_2, P4_2). No two of the fourteen gates are shared.
Differs from BiFPN, whose weights these are: they can become negative, as in the code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.lgffem.aggregators import ChannelReduction, GlobalAggregator, GrnMean, LocalAggregator

N_LEVELS = 4
NODES = ("P1_2", "P2_2", "P3_2", "P4_2")
"""What a layer gives, finest first."""

Level = Float[Tensor, "patch _ _ _"]
Levels = tuple[Level, Level, Level, Level]

_EPS = 1e-4


class FusionLayer(nn.Module):
    """Four maps to four maps of the same sizes.

    Args:
        n_channels: of what it gives.
        grn_mean: see `GlobalResponseNorm`.
        n_in: channels of each map of a backbone; None where they have `n_channels` already.
    """

    def __init__(self, n_channels: int, grn_mean: GrnMean, n_in: Sequence[int] | None = None) -> None:
        super().__init__()
        for node, n_parts in {"p3_1": 2, "p2_1": 2, "p1_2": 2, "p2_2": 3, "p3_2": 3, "p4_2": 2}.items():
            self.register_parameter(f"{node}_weight", nn.Parameter(torch.ones(n_parts)))
        for name in ("p31_gca_p30", "p21_gca_p20", "p12_gca_p10"):
            self.add_module(name, GlobalAggregator(n_channels, grn_mean))
        for name in ("p31_lca_p40", "p21_lca_p31", "p12_lca_p21"):
            self.add_module(name, LocalAggregator(n_channels, is_doubling=True))
        for name in ("p22_lca_p20", "p22_lca_P21", "p32_lca_p30", "p32_lca_P31", "p42_lca_p40"):
            self.add_module(name, LocalAggregator(n_channels))
        for name in ("p22_gca_p12", "p32_gca_p22", "p42_gca_p32"):
            self.add_module(name, GlobalAggregator(n_channels, grn_mean, is_halving=True))
        for node in NODES:
            self.add_module(node, nn.Identity())  # where pictures of what is looked at hook in
        self.is_first = n_in is not None
        for level, n in enumerate(n_in or (), start=1):
            self.add_module(f"p{level}_down_channel", ChannelReduction(n, n_channels))

    def forward(self, maps: Levels) -> Levels:
        """The maps of `NODES`."""
        p1, p2, p3, p4 = self._reduced(maps)
        p3_1 = self._sum("p3_1", self._gate("p31_gca_p30", p3), self._gate("p31_lca_p40", p4))
        p2_1 = self._sum("p2_1", self._gate("p21_gca_p20", p2), self._gate("p21_lca_p31", p3_1))
        p1_2 = self._node("P1_2", self._gate("p12_gca_p10", p1), self._gate("p12_lca_p21", p2_1))
        same = self._gate("p22_lca_p20", p2), self._gate("p22_lca_P21", p2_1)
        p2_2 = self._node("P2_2", *same, self._gate("p22_gca_p12", p1_2))
        same = self._gate("p32_lca_p30", p3), self._gate("p32_lca_P31", p3_1)
        p3_2 = self._node("P3_2", *same, self._gate("p32_gca_p22", p2_2))
        p4_2 = self._node("P4_2", self._gate("p42_lca_p40", p4), self._gate("p42_gca_p32", p3_2))
        return p1_2, p2_2, p3_2, p4_2

    def _reduced(self, maps: Levels) -> Levels:
        if not self.is_first:
            return maps
        p1, p2, p3, p4 = (self._gate(f"p{level}_down_channel", each) for level, each in enumerate(maps, start=1))
        return p1, p2, p3, p4

    def _gate(self, name: str, maps: Level) -> Level:
        gated: Tensor = self.get_submodule(name)(maps)
        return gated

    def _node(self, node: str, *parts: Float[Tensor, "patch channel height width"]) -> Level:
        return self._gate(node, self._sum(node.lower(), *parts))

    def _sum(self, node: str, *parts: Float[Tensor, "patch channel height width"]) -> Level:
        weights = self.get_parameter(f"{node}_weight")
        shares = weights / (weights.sum() + _EPS)
        return torch.stack([share * part for share, part in zip(shares, parts, strict=True)]).sum(0)
