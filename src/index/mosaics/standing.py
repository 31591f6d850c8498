"""What stands for a slide, whether its mosaic gives vectors of its own or takes those of patches."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from src.interfaces import Mosaic, SlideFeatures, SummaryMosaic


def standing_for(
    mosaic: Mosaic, slide: SlideFeatures
) -> tuple[Int64[np.ndarray, " mosaic"], Float32[np.ndarray, "mosaic feature"]]:
    """Rows of the patches that stand for a slide, ascending, and the vector of each.

    One patch stands for itself, whatever the mosaic looks at: a query in words has no colours.
    """
    if len(slide.features) == 1:
        return np.zeros(1, dtype=np.int64), slide.features
    if isinstance(mosaic, SummaryMosaic):
        return mosaic.summarise(slide)
    rows = mosaic.select(slide)
    return rows, slide.features[rows]
