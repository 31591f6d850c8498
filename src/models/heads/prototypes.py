"""Prototypes: a slide is a mixture of Gaussians around patterns that the training patches share. Nothing is labelled.

Source: Song et al., "Morphological Prototyping for Unsupervised Slide Representation Learning in Computational
Pathology" (PANTHER), CVPR 2024; official code mahmoodlab/PANTHER, mil_models/PANTHER: 16 prototypes by k-means, one
step of expectation and maximisation a posteriori with prior weight tau = 1 and unit prior variances, `allcat`.
Differs from PANTHER: columns are standardised by the patches that prototypes are fitted on, so that unit variances fit
any encoder; on top is a linear classifier alone; k-means starts once, on fewer patches.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Tensor, nn

from src.errors import ConfigError
from src.models.heads.head import BagOutput

_SMALLEST_SPREAD = 1e-6
_SMALLEST_VARIANCE = 1e-4


class Prototypes(nn.Module):
    """Fit a mixture to the patches of a slide, starting from the prototypes, and give all its parameters.

    It learns nothing from labels: fit it once on patches of the training slides; checkpoints keep what was found.

    Args:
        dim_in: columns of the features.
        n_prototypes: Gaussians of the mixture.
        n_fitted: patches that the prototypes are fitted on, at most.
        n_em_steps: steps of expectation and maximisation per slide.
        prior_weight: patches that the prior of each Gaussian counts for.

    Raises:
        ConfigError: a setting out of range.
    """

    mean: Tensor
    scale: Tensor
    prototypes: Tensor

    def __init__(
        self,
        dim_in: int,
        n_prototypes: int = 16,
        n_fitted: int = 100_000,
        n_em_steps: int = 1,
        prior_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if min(n_prototypes, n_fitted, n_em_steps) < 1 or prior_weight <= 0:
            raise ConfigError(
                f"head: n_prototypes is {n_prototypes}, n_fitted {n_fitted}, n_em_steps {n_em_steps}, prior_weight "
                f"{prior_weight}; expected at least 1, and a weight above 0"
            )
        self.settings: dict[str, int | float] = {
            "dim_in": dim_in,
            "n_prototypes": n_prototypes,
            "n_fitted": n_fitted,
            "n_em_steps": n_em_steps,
            "prior_weight": prior_weight,
        }
        self.dim_out = n_prototypes * (1 + 2 * dim_in)
        self.n_fitted = n_fitted
        self.n_em_steps = n_em_steps
        self.prior_weight = prior_weight
        self.register_buffer("mean", torch.zeros(dim_in))
        self.register_buffer("scale", torch.ones(dim_in))
        self.register_buffer("prototypes", torch.zeros(n_prototypes, dim_in))

    def fit(self, patches: Float[Tensor, "patch feature"], seed: int) -> None:
        """Find the prototypes by k-means on standardised patches.

        Args:
            patches: of training slides alone.
            seed: of the first centres.

        Raises:
            ConfigError: fewer patches than prototypes.
        """
        n_prototypes = len(self.prototypes)
        if len(patches) < n_prototypes:
            raise ConfigError(f"head.n_prototypes is {n_prototypes}, train has {len(patches)} patches; choose fewer")
        self.mean.copy_(patches.mean(0))
        spread = patches.std(0, correction=0)
        self.scale.copy_(torch.where(spread > _SMALLEST_SPREAD, spread, 1))  # a column may be constant
        clusters = KMeans(n_prototypes, n_init=1, random_state=seed).fit(self._standardised(patches).numpy())
        self.prototypes.copy_(torch.from_numpy(clusters.cluster_centers_.astype(np.float32)))

    @torch.no_grad()
    def forward(self, bag: Float[Tensor, "patch feature"]) -> BagOutput:
        """Weights, means and variances of the mixture, one after the other; every patch weighs the same."""
        with torch.autocast(bag.device.type, enabled=False):  # variances are small differences of large numbers
            patches = self._standardised(bag.float())
            mixture = self._prior()
            for _ in range(self.n_em_steps):
                mixture = self._maximised(patches, _shares(patches, *mixture))
        return BagOutput(torch.cat([part.flatten() for part in mixture]), torch.full_like(bag[:, 0], 1 / len(bag)))

    def _standardised(self, patches: Float[Tensor, "patch feature"]) -> Float[Tensor, "patch feature"]:
        return (patches - self.mean) / self.scale

    def _prior(self) -> tuple[Tensor, Tensor, Tensor]:
        n_prototypes = len(self.prototypes)
        weights = torch.full_like(self.prototypes[:, 0], 1 / n_prototypes)
        return weights, self.prototypes, torch.ones_like(self.prototypes)

    def _maximised(
        self, patches: Float[Tensor, "patch feature"], shares: Float[Tensor, "patch prototype"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The mixture that is most probable when every patch belongs to the Gaussians in these shares."""
        tau, prior = self.prior_weight, self.prototypes
        size = (shares.sum(0) + tau)[:, None]
        means = (shares.T @ patches + tau * prior) / size
        squares = (shares.T @ patches**2 + tau * (1 + prior**2)) / size
        return (size / size.sum())[:, 0], means, (squares - means**2).clamp_min(_SMALLEST_VARIANCE)


def _shares(
    patches: Float[Tensor, "patch feature"],
    weights: Float[Tensor, " prototype"],
    means: Float[Tensor, "prototype feature"],
    variances: Float[Tensor, "prototype feature"],
) -> Float[Tensor, "patch prototype"]:
    """How much each patch belongs to each Gaussian of diagonal covariance; rows sum to 1."""
    # (x - m)^2 / v = x^2 / v - 2 x m / v + m^2 / v, so that nothing of patch x prototype x feature is made
    distances = patches**2 @ (1 / variances).T - 2 * patches @ (means / variances).T + (means**2 / variances).sum(1)
    return (weights.log() - (distances + variances.log().sum(1)) / 2).softmax(1)
