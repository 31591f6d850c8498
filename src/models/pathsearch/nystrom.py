"""Nyström attention with a convolution of the values: how the patches of a slide see each other.

Source: Xiong et al., "Nyströmformer: A Nyström-Based Algorithm for Approximating Self-Attention", AAAI 2021, as
lucidrains' nystrom-attention 0.0.14 has it, which TransMIL and PathSearch use. The layers keep its names, so that their
checkpoints load. Differs from it: the pseudo-inverse is torchmil's. torchmil's own attention has no convolution.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchmil.nn.attention.nystrom_attention import moore_penrose_iter_pinv

_PINV_STEPS = 6

Tokens = Float[Tensor, "slide token dim"]
Heads = Float[Tensor, "slide head token part"]


class NystromAttention(nn.Module):
    """Self-attention by way of landmarks, the means of as many stretches of tokens.

    Args:
        dim: of a token; a multiple of `n_heads`.
        n_heads: attentions side by side.
        n_landmarks: memory grows with tokens times landmarks.
        kernel: tokens that the convolution of the values spans.
        dropout: share of outputs set to zero in training.
    """

    def __init__(self, dim: int, n_heads: int, n_landmarks: int, kernel: int = 33, dropout: float = 0.1) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.n_landmarks = n_landmarks
        self.scale = (dim // n_heads) ** -0.5
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(dropout))
        self.res_conv = nn.Conv2d(n_heads, n_heads, (kernel, 1), padding=(kernel // 2, 0), groups=n_heads, bias=False)

    def forward(self, tokens: Tokens) -> Tokens:
        """What each token takes from all; zeros go before the first so that stretches are equally long."""
        n_tokens = tokens.shape[1]
        padded = functional.pad(tokens, (0, 0, -n_tokens % self.n_landmarks, 0))
        query, key, value = (
            part.unflatten(2, (self.n_heads, -1)).transpose(1, 2) for part in self.to_qkv(padded).chunk(3, dim=2)
        )
        seen = self._attend(self.scale * query, key, value) + self.res_conv(value)
        out: Tensor = self.to_out(seen.transpose(1, 2).flatten(2))
        return out[:, -n_tokens:]

    def _attend(self, query: Heads, key: Heads, value: Heads) -> Heads:
        """Equation 15: by way of the landmarks there and back."""
        query_marks, key_marks = self._landmarks(query), self._landmarks(key)
        to_marks = (query @ key_marks.mT).softmax(-1)
        between_marks = (query_marks @ key_marks.mT).softmax(-1)
        from_marks = (query_marks @ key.mT).softmax(-1)
        seen: Tensor = to_marks @ moore_penrose_iter_pinv(between_marks, _PINV_STEPS) @ (from_marks @ value)
        return seen

    def _landmarks(self, part: Heads) -> Float[Tensor, "slide head landmark part"]:
        marks: Tensor = part.unflatten(2, (self.n_landmarks, -1)).mean(3)  # type: ignore[no-untyped-call]
        return marks


class NystromLayer(nn.Module):
    """The attention behind a normalisation, added to the tokens.

    Args:
        dim: of a token.
        n_heads: attentions side by side.
    """

    def __init__(self, dim: int, n_heads: int = 8) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attn = NystromAttention(dim, n_heads, n_landmarks=dim // 2)

    def forward(self, tokens: Tokens) -> Tokens:
        """The tokens, and what each takes from all."""
        seen: Tensor = tokens + self.attn(self.norm(tokens))
        return seen
