"""What one patch costs an encoder: floating point operations, counted while the network runs without memory.

Source: HERE (bioRxiv 2025.10.25.684566), Extended Data Fig. 2c, whose code is not published. Counted by
torch.utils.flop_counter on the meta device, so no weights are needed: matrix products, convolutions and attention; a
multiplication and an addition are two operations. The input is the encoder's own patch after its transform.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from src.errors import WeightsUnavailable
from src.interfaces import Encoder
from src.models.encoders.network import Network, NetworkEncoder


@runtime_checkable
class BuildableNetwork(Network, Protocol):
    """A network whose architecture torch can build without its weights."""

    def build(self) -> nn.Module:
        """The network with random weights."""
        ...


def native_input_px(encoder: NetworkEncoder) -> tuple[int, int]:
    """Width and height of what the network gets for a patch of the encoder's recommended size."""
    patch = np.zeros((encoder.patch_size_px, encoder.patch_size_px, 3), np.uint8)
    _, height, width = encoder.transform(patch).shape
    return width, height


def flops_per_patch(encoder: Encoder) -> int | None:
    """Operations for one patch; None where there is no network, or none that can be built here."""
    if not isinstance(encoder, NetworkEncoder) or not isinstance(encoder.network, BuildableNetwork):
        return None
    try:
        with torch.device("meta"):
            module = encoder.network.build().eval()
    except WeightsUnavailable:  # the package of its authors is missing
        return None
    width, height = native_input_px(encoder)
    with FlopCounterMode(display=False) as counter:
        encoder.network.features(module, torch.empty(1, 3, height, width, device="meta"))
    return int(counter.get_total_flops())
