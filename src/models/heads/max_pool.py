"""Max pooling: of every hidden column, the patch that has most of it. What a few patches show is not averaged away."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from src.models.heads.head import BagOutput, projected_patches, projected_query, projection


class MaxPool(nn.Module):
    """Project the patches, then take the maximum of every column.

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
        """The maximum of the projected patches; a patch's attention is the share of columns that it gives."""
        hidden = self.project(bag)
        embedding = hidden.amax(0)
        gives = (hidden == embedding).float()  # several patches where they are equal, as at 0 behind the ReLU
        return BagOutput(embedding, (gives / gives.sum(0)).mean(1))

    def patch_vectors(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, "patch hidden"]:
        """See `projected_patches`."""
        return projected_patches(self.project, features)

    def query_vector(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, " hidden"]:
        """See `projected_query`."""
        return projected_query(self.project, features, self(features).attention)
