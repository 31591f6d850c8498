"""The loss of LGFFEM: Sub-center ArcFace, by pytorch-metric-learning.

Source: Deng et al., "Sub-center ArcFace", ECCV 2020; the paper prints m = 17.2 and s = 64, its code (see `aggregators`)
takes m in degrees and six centres per class.
Differs from the code by default: its scripts hand over m as the scale too, so that s is 17.2.
"""

from __future__ import annotations

from typing import Any

from src.errors import ConfigError


def sub_center_arcface(
    n_classes: int,
    dim: int,
    margin_degrees: float,
    scale: float,
    sub_centers: int,
    max_margin_degrees: float = 57.3,
    official_scale_is_margin: bool = False,
) -> Any:
    """The loss, a module whose weights are the centres, (dim, classes times centres).

    Args:
        n_classes: at least 2.
        dim: of a descriptor.
        margin_degrees: angle that is added to that between a descriptor and its class.
        scale: of the cosines before the softmax.
        sub_centers: of each class; the nearest counts.
        max_margin_degrees: larger margins saturate and are refused.
        official_scale_is_margin: the scale is the number of the margin, as in the code.

    Raises:
        ConfigError: a setting out of range.
    """
    from pytorch_metric_learning.losses import SubCenterArcFaceLoss  # here, as it takes a second to import

    if not 0 <= margin_degrees <= max_margin_degrees:
        raise ConfigError(f"model.margin_degrees is {margin_degrees}; expected 0 to {max_margin_degrees:g}")
    if n_classes < 2 or sub_centers < 1 or scale <= 0:
        raise ConfigError(
            f"model: {n_classes} classes, sub_centers is {sub_centers}, scale {scale}; expected at least 2, at least 1 "
            "and above 0"
        )
    used = margin_degrees if official_scale_is_margin else scale
    return SubCenterArcFaceLoss(
        num_classes=n_classes, embedding_size=dim, margin=margin_degrees, scale=used, sub_centers=sub_centers
    )
