"""The memory bank of CCL: the keys of past batches, and which of them lie together."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from src.errors import ConfigError


class MemoryBank(nn.Module):
    """As many unit vectors as `size`, the oldest replaced first, in groups that follow them by one k-means step each.

    It begins with random vectors, as MoCo's queue does. All of it is in the state dict, so that a training goes on
    exactly.

    Args:
        size: vectors that are kept.
        dim: of a vector.
        n_groups: of the k-means; at most `size`.

    Raises:
        ConfigError: a size or a number of groups that cannot be.
    """

    keys: Tensor
    centroids: Tensor
    next_place: Tensor

    def __init__(self, size: int, dim: int, n_groups: int) -> None:
        super().__init__()
        if not 1 <= n_groups <= size:
            raise ConfigError(f"model: memory_groups is {n_groups}, expected 1 to memory_size = {size}")
        self.register_buffer("keys", normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("centroids", self.keys[:n_groups].clone())
        self.register_buffer("next_place", torch.zeros((), dtype=torch.int64))

    def groups(self) -> Int64[Tensor, " memory"]:
        """The group of each vector: that of the most similar centroid."""
        return (self.keys @ self.centroids.T).argmax(1)

    def group_of(self, vectors: Float[Tensor, "patch dim"]) -> Int64[Tensor, " patch"]:
        """The group that each of other vectors would belong to."""
        return (vectors @ self.centroids.T).argmax(1)

    @torch.no_grad()
    def add(self, keys: Float[Tensor, "patch dim"]) -> None:
        """Put vectors in the place of the oldest, then move the centroids to the mean of their groups."""
        kept = keys[-len(self.keys) :]
        places = (self.next_place + torch.arange(len(kept), device=keys.device)) % len(self.keys)
        self.keys[places] = kept.to(self.keys.dtype)
        self.next_place = (self.next_place + len(kept)) % len(self.keys)
        self._regroup()

    def _regroup(self) -> None:
        sums = torch.zeros_like(self.centroids).index_add_(0, self.groups(), self.keys)
        is_empty = sums.norm(dim=1, keepdim=True) == 0
        self.centroids = torch.where(is_empty, self.centroids, normalize(sums, dim=1))
