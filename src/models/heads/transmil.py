"""TransMIL: a transformer over all patches of a slide, in which patches see each other.

Source: Shao et al., "TransMIL: Transformer based Correlated Multiple Instance Learning for Whole Slide Image
Classification", NeurIPS 2021; authors' code szc19990412/TransMIL, models/TransMIL.py. The transformer is torchmil's.
Differs from the authors' code: its attention has neither the convolutional residual of the values nor dropout, as
torchmil's has not; the projection has dropout, as in the other heads. As there, the order of the patches plays a part:
they are laid out on a square grid row by row, filled up with the first ones.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchmil.models.transmil import TransMIL
from torchmil.nn.attention.nystrom_attention import NystromAttention, moore_penrose_iter_pinv

from src.errors import ConfigError
from src.models.heads.head import BagOutput, projection
from src.models.heads.torchmil_parts import own_parts


class TransMil(nn.Module):
    """Project the patches, let them and a class token see each other twice, and take the token.

    Args:
        dim_in: columns of the features.
        dim_hidden: length of the embedding and of every token; a multiple of `n_attention_heads`.
        n_attention_heads: attentions side by side.
        n_landmarks: of the Nyström approximation; memory grows with patches times landmarks.
        dropout: share of projected values set to zero in training.

    Raises:
        ConfigError: tokens that cannot be divided among the heads.
    """

    def __init__(
        self,
        dim_in: int,
        dim_hidden: int = 512,
        n_attention_heads: int = 8,
        n_landmarks: int = 256,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        if dim_hidden % n_attention_heads:
            raise ConfigError(
                f"head.dim_hidden is {dim_hidden}, expected a multiple of head.n_attention_heads={n_attention_heads}"
            )
        self.settings: dict[str, int | float] = {
            "dim_in": dim_in,
            "dim_hidden": dim_hidden,
            "n_attention_heads": n_attention_heads,
            "n_landmarks": n_landmarks,
            "dropout": dropout,
        }
        self.dim_out = dim_hidden
        self.project = projection(dim_in, dim_hidden, dropout)
        self.transformer = TransMIL(
            in_shape=(dim_hidden,),
            att_dim=dim_hidden,
            n_heads=n_attention_heads,
            n_landmarks=n_landmarks,
            **own_parts(),
        )
        self.transformer.classifier = nn.Identity()  # the outputs are the classifier's that follows the head
        for layer in self.transformer.layers:
            layer.norm2 = nn.Identity()  # of an MLP that TransMIL has not; weights without gradient stop DDP

    def forward(self, bag: Float[Tensor, "patch feature"]) -> BagOutput:
        """The class token, and its attention to the patches in the last layer; negative ones count as 0."""
        last: NystromAttention = self.transformer.layers[-1].att_module
        tokens: list[Tensor] = []
        with last.register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0])):
            embedding = self.transformer(self.project(bag)[None])[0]
        seen = class_attention(last, tokens[0][0])[1 : len(bag) + 1].clamp_min(1e-12)  # never all 0
        return BagOutput(embedding, seen / seen.sum())


@torch.no_grad()
def class_attention(attention: NystromAttention, tokens: Float[Tensor, "token hidden"]) -> Float[Tensor, " token"]:
    """How the first token sees all tokens, the mean of the heads: equation 15 of Nyströmformer for one row.

    It is the first row of what torchmil returns, which makes all rows: 13 GB for 20,000 patches and 8 heads.
    """
    n_padded = -len(tokens) % attention.n_landmarks
    padded = functional.pad(tokens, (0, 0, n_padded, 0))
    query, key = (
        part.unflatten(1, (attention.n_heads, -1)).transpose(0, 1) for part in attention.qkv_nn(padded).chunk(3, 1)[:2]
    )
    query = query * attention.scale_factor
    query_marks, key_marks = (part.unflatten(1, (attention.n_landmarks, -1)).mean(2) for part in (query, key))
    to_marks = (query[:, n_padded, None] @ key_marks.mT).softmax(-1)
    between_marks = (query_marks @ key_marks.mT).softmax(-1)
    from_marks = (query_marks @ key.mT).softmax(-1)
    row: Tensor = to_marks @ moore_penrose_iter_pinv(between_marks, attention.pinv_iterations) @ from_marks
    return row[:, 0, n_padded:].mean(0)
