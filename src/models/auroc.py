"""Area under the ROC curve, one class against the rest, averaged over the classes that can be judged."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc
from torchmetrics.utilities import dim_zero_cat


class MacroAuroc(Metric):
    """Mean AUROC of the classes that have both slides in it and slides outside it; NaN when there is none.

    Differs from torchmetrics.MulticlassAUROC: that counts a class without slides as 0, so a small validation split,
    in which a rare class is missing, looks worse than it is.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    probabilities: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Float[Tensor, "slide class"], targets: Int64[Tensor, " slide"]) -> None:
        """Take in some slides."""
        self.probabilities.append(probabilities)
        self.targets.append(targets)

    def compute(self) -> Float[Tensor, ""]:
        """The mean over all slides taken in."""
        probabilities, targets = dim_zero_cat(self.probabilities), dim_zero_cat(self.targets)
        areas = [
            binary_auroc(probabilities[:, name], (targets == name).long())
            for name in range(probabilities.shape[1])
            if (targets == name).any() and (targets != name).any()
        ]
        return torch.stack(areas).mean() if areas else torch.tensor(torch.nan, device=targets.device)
