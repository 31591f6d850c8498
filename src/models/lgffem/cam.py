"""What in a patch makes LGFFEM call it similar: Grad-CAM++ on the nodes of its fusion layers, by the package grad-cam.

Source: Chattopadhay et al., "Grad-CAM++", WACV 2018; LGFFEM's figure of the nodes P1_2 to P4_2 of its layers, whose
repository has no script for it. What is explained is not said there: here it is the cosine to the query's descriptor.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from src.models.lgffem.fusion import NODES
from src.models.lgffem.network import Lgffem

JOINT = "all four"
"""Name of the mean of the four nodes."""

Heat = Float32[np.ndarray, "height width"]


@dataclass(frozen=True)
class _Cosine:
    """What is explained: how similar a descriptor is to another."""

    other: Float[Tensor, " dim"]

    def __call__(self, descriptor: Float[Tensor, " dim"]) -> Float[Tensor, ""]:
        return nn.functional.cosine_similarity(descriptor, self.other, dim=0)


class _WithGradient(nn.Module):
    """The network, whose maps of the backbone get a gradient though no weight is learnt."""

    def __init__(self, network: Lgffem) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "patch 3 height width"]) -> Float[Tensor, "patch dim"]:
        p1, p2, p3, p4 = (each.detach().requires_grad_() for each in self.network.maps(images))
        return self.network.describe((p1, p2, p3, p4))


def explain_hit(
    network: Lgffem, query: Float[Tensor, "3 height width"], hit: Float[Tensor, "3 height width"]
) -> dict[tuple[int, str], Heat]:
    """Where each node of each layer sees what makes the hit similar to the query.

    Args:
        network: with its weights.
        query: a normalised image.
        hit: a normalised image; the maps lie over it.

    Returns:
        Map, 0 to 1 each, of (layer from 1, node of `NODES` or `JOINT`), layer by layer.
    """
    network = copy.deepcopy(network).eval()
    with torch.no_grad():
        target = _Cosine(network(query[None])[0])
    heats: dict[tuple[int, str], Heat] = {}
    for number, layer in enumerate(network.neck.children(), start=1):
        nodes = [layer.get_submodule(name) for name in NODES]
        heats |= {(number, name): _heat(network, [node], hit, target) for name, node in zip(NODES, nodes, strict=True)}
        heats[number, JOINT] = _heat(network, nodes, hit, target)
    return heats


def _heat(network: Lgffem, nodes: Sequence[nn.Module], image: Float[Tensor, "3 height width"], target: _Cosine) -> Heat:
    from pytorch_grad_cam import GradCAMPlusPlus  # here, as it takes seconds to import

    with GradCAMPlusPlus(_WithGradient(network), list(nodes)) as cam, torch.enable_grad():
        heat: np.ndarray = cam(image[None], [target])[0]
    return heat.astype(np.float32)
