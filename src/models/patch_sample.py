"""Random patches of many slides, for what is fitted before the training."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from src.data.progress import tracked
from src.models.bags import WholeBags, seed_of


def sample_patches(bags: WholeBags, n_patches: int, seed: int) -> Float[Tensor, "patch feature"]:
    """At most `n_patches`, the same number of each slide unless it has fewer; slides are read one by one.

    Args:
        bags: slides; where they are more than `n_patches`, so many of them are drawn.
        n_patches: at least 1.
        seed: of the slides and of the patches, which depend on (seed, slide) alone.
    """
    drawn = np.random.default_rng(seed).permutation(len(bags))[:n_patches]
    share = n_patches // len(drawn)
    slides = tracked(np.sort(drawn).tolist(), "sampling patches")
    return torch.cat([_drawn(bags, index, share, seed) for index in slides])


def _drawn(bags: WholeBags, index: int, share: int, seed: int) -> Float[Tensor, "patch feature"]:
    bag = bags[index]
    rows = np.random.default_rng(seed_of(seed, 0, bag.slide_id)).permutation(len(bag.features))[:share]
    return bag.features[np.sort(rows)]
