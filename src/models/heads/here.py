"""The attention head of HERE: gated attention over projected patches, whose projection is also what is indexed.

Source: HERE (bioRxiv 10.1101/2025.10.25.684566), official code data2intelligence/HERE_training, model.py (commit
aea9856), and for the query vector its web portal's `app_common.py`. The layer `rho` is in the code, not in the paper.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from src.models.heads.dropout import ByteDropout
from src.models.heads.head import BagOutput, projected_patches, projected_query, projection


class Here(nn.Module):
    """Project the patches, weigh each by two gates, add them up, and pass the sum through one more layer.

    Args:
        dim_in: columns of the features.
        dim_hidden: length of the projection, of the embedding and of the indexed vectors.
        dim_attention: hidden units of each gate.
        dropout: share of hidden values set to zero in training, behind every layer but the scores.
    """

    def __init__(self, dim_in: int, dim_hidden: int = 256, dim_attention: int = 256, dropout: float = 0.25) -> None:
        super().__init__()
        self.settings: dict[str, int | float] = {
            "dim_in": dim_in,
            "dim_hidden": dim_hidden,
            "dim_attention": dim_attention,
            "dropout": dropout,
        }
        self.dim_out = dim_hidden
        self.project = projection(dim_in, dim_hidden, dropout)
        self.gate_a = nn.Sequential(nn.Linear(dim_hidden, dim_attention), nn.Tanh(), ByteDropout(dropout))
        self.gate_b = nn.Sequential(nn.Linear(dim_hidden, dim_attention), nn.Sigmoid(), ByteDropout(dropout))
        self.score = nn.Linear(dim_attention, 1)
        self.rho = projection(dim_hidden, dim_hidden, dropout)
        self.apply(start_linear)

    def forward(self, bag: Float[Tensor, "patch feature"]) -> BagOutput:
        """The embedding rho(sum_i A_i relu(h_i)) and the attention A."""
        hidden = self.project(bag)
        attention = self._attention(hidden)
        return BagOutput(self.rho(attention @ hidden), attention)

    def patch_vectors(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, "patch hidden"]:
        """What the database stores: the projection before its ReLU, at unit length."""
        return projected_patches(self.project, features)

    def query_vector(self, features: Float[Tensor, "patch feature"]) -> Float[Tensor, " hidden"]:
        """What is searched for: the projections before ReLU, added up by attention, at unit length.

        Call it in eval mode, as dropout would disturb the attention.
        """
        return projected_query(self.project, features, self(features).attention)

    def _attention(self, hidden: Float[Tensor, "patch hidden"]) -> Float[Tensor, " patch"]:
        gated = self.gate_a(hidden) * self.gate_b(hidden)
        attention: Tensor = self.score(gated).squeeze(1).softmax(0)
        return attention


def start_linear(module: nn.Module) -> None:
    """Xavier uniform weights and zero biases, where `module` is a linear layer."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
