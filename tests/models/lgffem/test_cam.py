"""Grad-CAM++ on the nodes of LGFFEM."""

from __future__ import annotations

import numpy as np
import torch

from src.models.lgffem.cam import JOINT, explain_hit
from src.models.lgffem.fusion import NODES
from src.models.lgffem.network import Lgffem
from tests.models.lgffem.test_network import design_of


def network_of(seed: int = 0) -> Lgffem:
    torch.manual_seed(seed)
    return design_of(n_layers=3).build().eval().requires_grad_(False)


def test_every_node_of_every_layer_has_a_map_of_the_hit() -> None:
    query, hit = torch.randn(2, 3, 64, 96)
    heats = explain_hit(network_of(), query, hit)
    assert list(heats) == [(layer, node) for layer in (1, 2, 3) for node in (*NODES, JOINT)]
    for heat in heats.values():
        assert heat.shape == (64, 96)
        assert 0 <= heat.min() <= heat.max() <= 1 + 1e-6
    assert sum(heat.max() > 0 for heat in heats.values()) > len(heats) // 2


def test_other_queries_are_explained_otherwise_and_the_network_stays() -> None:
    network = network_of()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    one, other, hit = torch.randn(3, 3, 64, 64)
    first, second = (explain_hit(network, query, hit) for query in (one, other))
    assert any(not np.allclose(first[key], second[key]) for key in first)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(value.requires_grad for value in network.parameters())
