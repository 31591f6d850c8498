"""The hash encoder of HSHR: a vector becomes signs, and each vector of a slide gets a weight.

Source: Li et al., "Hypergraph-guided slide-level histology retrieval with self-supervised hashing" (HSHR), 2023;
Lucius-lsr/HSHR (commit 58582e6), `utils/model/base_model.py`, of depth 1. The layers keep its names, so that its
`model_best.pth` is read as it is.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import WeightsUnavailable
from src.models.weights import load_strictly, read_state

TRAINED = "encoder_q."
"""What the names of its weights start with in a checkpoint of `SlideHashing`."""


class HashEncoder(nn.Module):
    """One linear layer to as many values as bits, another one to the weight of a vector.

    Args:
        dim_in: columns of the features, 512 in HSHR.
        n_bits: 1024 in HSHR.
    """

    def __init__(self, dim_in: int, n_bits: int) -> None:
        super().__init__()
        self.dim_in = dim_in
        self.n_bits = n_bits
        self.fc = nn.Linear(dim_in, n_bits)
        self.attention_layer = nn.Linear(dim_in, 1)

    def forward(self, vectors: Float[Tensor, "slide vector feature"]) -> Float[Tensor, "slide bit"]:
        """One code of each slide, -1 to 1: the mean of its vectors' weighted values, squashed."""
        weighted = self.fc(vectors) * self._attention(vectors)[..., None]
        return torch.tanh(weighted.mean(-2))

    def codes(self, vectors: Float[Tensor, "vector feature"]) -> Float[Tensor, "vector bit"]:
        """One code of each vector, -1 to 1; its signs are stored."""
        return torch.tanh(self.fc(vectors))

    def weights(self, vectors: Float[Tensor, "vector feature"]) -> Float[Tensor, " vector"]:
        """How much each vector of one slide counts, 1 on average."""
        return self._attention(vectors) * len(vectors)

    def _attention(self, vectors: Float[Tensor, "*slide vector feature"]) -> Float[Tensor, "*slide vector"]:
        attention: Tensor = self.attention_layer(vectors).squeeze(-1).softmax(-1)
        return attention


def read_hash_encoder(path: Path) -> HashEncoder:
    """The hash encoder of a file, as large as its weights say, in eval mode.

    Args:
        path: HSHR's model_best.pth, or a checkpoint of `SlideHashing`.

    Raises:
        WeightsUnavailable: no such file, damaged, or of something else.
    """
    state = read_state(path)
    if any(name.startswith(TRAINED) for name in state):
        state = {name.removeprefix(TRAINED): value for name, value in state.items() if name.startswith(TRAINED)}
    layer = state.get("fc.weight")
    if layer is None or layer.ndim != 2:
        raise WeightsUnavailable(f"{path}: fc.weight is no matrix in it, expected a hash encoder of HSHR")
    encoder = HashEncoder(layer.shape[1], layer.shape[0])
    load_strictly(encoder, state, path)
    return encoder.eval().requires_grad_(False)
