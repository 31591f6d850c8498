"""The two losses of PathSearch: reports find their slides, and the vectors of a mosaic do not say the same.

Source: PathSearch (see `slide_encoder`), `src/train_pathsearch.py`. The weights of two supervised losses that its
command line takes are used by none of its code.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def contrast(
    slides: Float[Tensor, "pair dim"], reports: Float[Tensor, "pair dim"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE: each slide has to find its report among those of the batch, and the other way round.

    Args:
        slides: unit vectors.
        reports: unit vectors, in the same order.
        scale: of the cosines, the inverse of a temperature.

    >>> same = torch.eye(2)
    >>> contrast(same, same, torch.tensor(1.0)).round(decimals=4).item()
    0.31...
    """
    cosines = scale * slides @ reports.T
    own = torch.arange(len(slides), device=slides.device)
    return (cross_entropy(cosines, own) + cross_entropy(cosines.T, own)) / 2


def sameness(mosaic: Float[Tensor, "slide mosaic dim"]) -> Float[Tensor, ""]:
    """Mean cosine of the pairs of a mosaic, each vector with itself counted in as 0; PathSearch calls it diversity.

    >>> sameness(torch.ones(1, 2, 3)).round(decimals=4).item()
    0.5
    """
    vectors = normalize(mosaic, dim=-1)
    cosines = vectors @ vectors.mT
    return (cosines - torch.diag_embed(cosines.diagonal(dim1=1, dim2=2))).mean()
