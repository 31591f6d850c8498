"""What stands for a slide, whether its mosaic gives vectors of its own or takes those of patches."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from src.interfaces import Mosaic, SlideFeatures, SummaryMosaic


def standing_for(
    mosaic: Mosaic, slide: SlideFeatures
) -> tuple[Int64[np.ndarray, " mosaic"], Float32[np.ndarray, "mosaic feature"]]:
    """Rows of the patches that stand for a slide, ascending, and the vector of each."""
    if isinstance(mosaic, SummaryMosaic):
        return mosaic.summarise(slide)
    rows = mosaic.select(slide)
    return rows, slide.features[rows]
