"""Mean pooling: every patch weighs the same. The floor that attention has to beat."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.models.heads.head import BagOutput, projected_patches, projected_query, projection


class MeanPool(nn.Module):
    """Project the patches, then average them.

    Args:
        dim_in: columns of the features.
        dim_hidden: length of the embedding.
        dropout: share of hidden values set to zero in training.
    """

    def __init__(self, dim_in: int, dim_hidden: int = 128, dropout: float = 0.25) -> None:
        super().__init__()
        self.settings: dict[str, int | float] = {"dim_in": dim_in, "dim_hidden": dim_hidden, "dropout": dropout}
        self.dim_out = dim_hidden
        self.project = projection(dim_in, dim_hidden, dropout)

    def forward(self, bag: Float[Tensor, "patch feature"]) -> BagOutput:
        """The mean of the projected patches."""
        hidden = self.project(bag)
        return BagOutput(hidden.mean(0), torch.full_like(hidden[:, 0], 1 / len(bag)))

    def patch_vectors(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, "patch hidden"]:
        """See `projected_patches`."""
        return projected_patches(self.project, features)

    def query_vector(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, " hidden"]:
        """See `projected_query`."""
        return projected_query(self.project, features, self(features).attention)
