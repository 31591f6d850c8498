"""The two losses of CCL.

Source: see `module`. The equations are those of the paper as public notes on it restate them; what they leave open is a
parameter here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


class Groups(NamedTuple):
    """k-means of the vectors of one batch: the group of each, and unit centroids."""

    labels: Int64[Tensor, " patch"]
    centroids: Float[Tensor, "group dim"]


def weighted_info_nce(
    queries: Float[Tensor, "patch dim"],
    keys: Float[Tensor, "patch dim"],
    negatives: Float[Tensor, "memory dim"],
    is_alike: Bool[Tensor, "patch memory"],
    weight: float,
    temperature: float,
) -> Float[Tensor, ""]:
    """-log exp(q k / t) / (exp(q k / t) + sum_i exp(w_i q n_i / t)), mean over the batch; MoCo's where every w is 1.

    Args:
        queries: unit vectors that are learnt.
        keys: unit vector of another look at each patch.
        negatives: unit vectors of other patches.
        is_alike: negatives that lie with the key, which may show the same and are pushed away less.
        weight: of their similarity, 0 to 1.
        temperature: t.
    """
    positive = (queries * keys).sum(1, keepdim=True)
    others = queries @ negatives.T
    logits = torch.cat([positive, torch.where(is_alike, weight * others, others)], dim=1) / temperature
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def group_info_nce(
    vectors: Float[Tensor, "patch dim"],
    other: Groups,
    temperature: float,
    official_labels: bool,
) -> Float[Tensor, ""]:
    """Each vector names its group among the centroids of another look at the same patches, mean over the batch.

    Args:
        vectors: unit vectors of one look.
        other: groups of the other look.
        temperature: of the softmax.
        official_labels: the group of a patch is that of its other look, as in CLD's code; else the centroid that is
            nearest to the vector itself, as the paper is said to write.
    """
    logits = vectors @ other.centroids.T / temperature
    labels = other.labels if official_labels else logits.argmax(1)
    return cross_entropy(logits, labels)


@torch.no_grad()
def groups_of(vectors: Float[Tensor, "patch dim"], n_groups: int, n_iterations: int) -> Groups:
    """k-means by cosine, started at the first `n_groups` vectors, or at all; an empty group keeps its centroid."""
    centroids = vectors[:n_groups].clone()
    for _ in range(n_iterations):
        labels = (vectors @ centroids.T).argmax(1)
        sums = torch.zeros_like(centroids).index_add_(0, labels, vectors)
        centroids = torch.where(sums.norm(dim=1, keepdim=True) == 0, centroids, normalize(sums, dim=1))
    return Groups((vectors @ centroids.T).argmax(1), centroids)
