"""The attentive mosaic of PathSearch: a few vectors of a slide, each of them what one gated attention looks at.

Source: PathSearch (see `slide_encoder`), `model/ABMIL.py`; the gated attention is that of Ilse et al., ICML 2018. The
layers keep its names.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

_DIM_ATTENTION = 128


class SlideVectors(NamedTuple):
    """What stands for slides.

    Attributes:
        slide: one vector of each as a whole.
        mosaic: its mosaic.
        attention: of each vector of the mosaic to the patches; sums to 1.
        share: of each vector of the mosaic in that of the slide; they sum to 1.
    """

    slide: Float[Tensor, "slide dim"]
    mosaic: Float[Tensor, "slide mosaic dim"]
    attention: Float[Tensor, "slide mosaic patch"]
    share: Float[Tensor, "slide mosaic"]


class GatedAttention(nn.Module):
    """One number per vector: what a gate lets through.

    Args:
        dim: of a vector.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention_V = nn.Sequential(nn.Linear(dim, _DIM_ATTENTION), nn.Tanh())
        self.attention_U = nn.Sequential(nn.Linear(dim, _DIM_ATTENTION), nn.Sigmoid())
        self.attention_weights = nn.Linear(_DIM_ATTENTION, 1)

    def forward(self, vectors: Float[Tensor, "slide vector dim"]) -> Float[Tensor, "slide vector"]:
        """The weight of each vector of a slide; they sum to 1."""
        gated = self.attention_V(vectors) * self.attention_U(vectors)
        weights: Tensor = self.attention_weights(gated).squeeze(-1).softmax(-1)
        return weights


class AttentiveMosaic(nn.Module):
    """Reduce the tokens, look at them by several attentions, and at what these see by one more.

    Args:
        dim: of a token and of what comes out.
        n_mosaics: vectors of a slide.
    """

    def __init__(self, dim: int, n_mosaics: int) -> None:
        super().__init__()
        self.dim_reduction = _Reduction(dim)
        self.attention = nn.ModuleList(GatedAttention(dim) for _ in range(n_mosaics))
        self.attention_2 = GatedAttention(dim)

    def forward(self, tokens: Float[Tensor, "slide patch dim"]) -> SlideVectors:
        """The mosaic of each slide, and its one vector."""
        reduced = self.dim_reduction(tokens)
        attention = torch.stack([attend(reduced) for attend in self.attention], dim=1)
        mosaic = attention @ reduced
        share = self.attention_2(mosaic)
        return SlideVectors((share[:, None] @ mosaic).squeeze(1), mosaic, attention, share)


class _Reduction(nn.Module):
    """A linear layer, normalised over all tokens of a batch."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, dim, bias=False)
        self.norm_act = nn.Sequential(nn.Identity(), nn.BatchNorm1d(dim), nn.ReLU())

    def forward(self, tokens: Float[Tensor, "slide patch dim"]) -> Float[Tensor, "slide patch dim"]:
        n_slides = len(tokens)
        reduced: Tensor = self.norm_act(self.fc1(tokens).flatten(0, 1)).unflatten(0, (n_slides, -1))
        return reduced
