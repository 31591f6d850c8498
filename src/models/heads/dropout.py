"""Dropout that draws eight values from one random number.

On a CPU, the draws of three large dropouts are a third of a step of HERE's head, and a float of noise is kept for each.
Differs from torch.nn.Dropout: the share is the nearest multiple of 1/256 (0.25 is one), and other values are drawn from
the same seed. Elsewhere than on a CPU it is torch's.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 256  # of a byte


class ByteDropout(nn.Module):
    """Sets a share of the values to zero in training, and scales the others so that their mean stays.

    Args:
        share: 0 to less than 1.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.n_dropped = round(share * _LEVELS)

    def forward(self, values: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """The values themselves when not in training."""
        if not self.training or not self.n_dropped:
            return values
        share = self.n_dropped / _LEVELS
        if values.device.type != "cpu":
            return functional.dropout(values, share)
        kept: Tensor = values * _is_kept(values, self.n_dropped)
        return kept * (1 / (1 - share))


def _is_kept(values: Float[Tensor, "*axes"], n_dropped: int) -> Bool[Tensor, "*axes"]:
    numbers = torch.empty(-(-values.numel() // 8), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
    draws = numbers.view(torch.uint8)[: values.numel()].view(values.shape)
    return draws >= n_dropped
