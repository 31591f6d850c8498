"""The slide encoder of PathSearch: a bag of patch features becomes a mosaic of vectors and one vector of the slide.

Source: "PathSearch", arXiv 2510.23224; Dootmaan/PathSearch (commit 650ff02), `model/TransMIL.py`, class TransMILABMIL.
The layers keep its names, so that its checkpoints load; PPEG is torchmil's, which has the same names.
Differs from it: features may have another length than the vectors.
"""

from __future__ import annotations

from math import ceil, sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize
from torchmil.models.transmil import PPEG

from src.errors import ConfigError
from src.models.pathsearch.attentive_mosaic import AttentiveMosaic, SlideVectors
from src.models.pathsearch.nystrom import NystromLayer

_N_HEADS = 8


class SlideEncoder(nn.Module):
    """Two transformer layers with a convolution between them, then the mosaic.

    Args:
        dim_in: columns of the features, 768 in PathSearch.
        dim: of every vector, 768 in PathSearch; a multiple of 8.
        n_mosaics: vectors of the mosaic, 16 in PathSearch.

    Raises:
        ConfigError: a dimension that cannot be divided among 8 heads, or no vector.
    """

    def __init__(self, dim_in: int, dim: int, n_mosaics: int) -> None:
        super().__init__()
        if dim < _N_HEADS or dim % _N_HEADS or n_mosaics < 1:
            raise ConfigError(
                f"model pathsearch: dim is {dim} and n_mosaics {n_mosaics}, expected a multiple of {_N_HEADS} and at "
                "least 1"
            )
        self.dim_in = dim_in
        self.dim = dim
        self.n_mosaics = n_mosaics
        self.proj = nn.Sequential(nn.Linear(dim_in, dim), nn.ReLU())
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.trans_layer1 = NystromLayer(dim, _N_HEADS)
        self.pos_layer = PPEG(dim)
        self.trans_layer2 = NystromLayer(dim, _N_HEADS)
        self.abmil = AttentiveMosaic(dim, n_mosaics)

    def forward(self, bags: Float[Tensor, "slide patch feature"]) -> SlideVectors:
        """Vectors as they come out; `unit` gives those that are compared."""
        n_patches = bags.shape[1]
        side = ceil(sqrt(n_patches))
        tokens = self.proj(bags)
        # As in TransMIL, the square that the convolution needs is filled up with the first patches.
        square = torch.cat([tokens, tokens[:, : side * side - n_patches]], dim=1)
        tokens = self.trans_layer1(torch.cat([self.cls_token.expand(len(bags), -1, -1), square], dim=1))
        tokens = self.trans_layer2(self.pos_layer(tokens, side, side))
        vectors: SlideVectors = self.abmil(tokens[:, 1 : n_patches + 1])  # the class token is not used from here on
        return vectors


def unit(vectors: SlideVectors) -> SlideVectors:
    """The same at unit length."""
    return vectors._replace(slide=normalize(vectors.slide, dim=-1), mosaic=normalize(vectors.mosaic, dim=-1))
