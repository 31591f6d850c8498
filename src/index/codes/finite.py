"""The one-line refusal of features that hold NaN or infinity."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from src.errors import FeatureFileError


def expect_finite(features: Float32[np.ndarray, "patch feature"]) -> None:
    """Raise FeatureFileError when a vector holds NaN or infinity."""
    n_bad = int(np.sum(~np.isfinite(features).all(axis=1)))
    if n_bad:
        raise FeatureFileError(
            f"features: {n_bad} of {len(features)} vectors hold NaN or infinity; extract these features again"
        )
