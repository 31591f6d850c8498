"""Checkpoints in the layout of HERE's official code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from src.data.targets import GENE_TARGETS, REGRESSION_TARGETS

GATES = ("attention_net.3.attention_a.0", "attention_net.3.attention_b.0")


def official_state(
    dim: int, genes: Sequence[str] = GENE_TARGETS, regressions: Sequence[str] = REGRESSION_TARGETS
) -> dict[str, Tensor]:
    """Random weights under the official names, for features of `dim` columns."""
    shapes = {"attention_net.0": (256, dim), "attention_net.3.attention_c": (1, 256), "rho.0": (256, 256)}
    shapes |= dict.fromkeys(GATES, (256, 256))
    shapes |= {f"classifiers.{gene}": (3, 256) for gene in genes}
    shapes |= {f"regressors.{name}": (1, 256) for name in regressions}
    generator = torch.Generator().manual_seed(0)
    state = {}
    for layer, shape in shapes.items():
        state[f"{layer}.weight"] = torch.randn(shape, generator=generator) / 16
        state[f"{layer}.bias"] = torch.randn(shape[0], generator=generator) / 16
    return state
