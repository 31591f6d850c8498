"""Attention-based multiple instance learning, the ungated form.

Source: Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance Learning", ICML 2018, equations 7 and 8.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from src.models.heads.head import BagOutput, projected_patches, projected_query, projection


class Abmil(nn.Module):
    """Project the patches, weigh each by a small network that sees it alone, and add them up.

    Args:
        dim_in: columns of the features.
        dim_hidden: length of the embedding.
        dim_attention: hidden units of the attention network.
        dropout: share of hidden values set to zero in training.
    """

    def __init__(self, dim_in: int, dim_hidden: int = 128, dim_attention: int = 128, dropout: float = 0.25) -> None:
        super().__init__()
        self.settings: dict[str, int | float] = {
            "dim_in": dim_in,
            "dim_hidden": dim_hidden,
            "dim_attention": dim_attention,
            "dropout": dropout,
        }
        self.dim_out = dim_hidden
        self.project = projection(dim_in, dim_hidden, dropout)
        # Differs from the paper: V has a bias, as in the authors' code; a bias of w would cancel in the softmax.
        self.attend = nn.Sequential(
            nn.Linear(dim_hidden, dim_attention), nn.Tanh(), nn.Linear(dim_attention, 1, bias=False)
        )

    def forward(self, bag: Float[Tensor, "patch feature"]) -> BagOutput:
        """The sum of the projected patches, each times its attention a_k."""
        hidden = self.project(bag)
        attention = self.attend(hidden).squeeze(1).softmax(0)
        return BagOutput(attention @ hidden, attention)

    def patch_vectors(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, "patch hidden"]:
        """See `projected_patches`."""
        return projected_patches(self.project, features)

    def query_vector(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, " hidden"]:
        """See `projected_query`."""
        return projected_query(self.project, features, self(features).attention)
