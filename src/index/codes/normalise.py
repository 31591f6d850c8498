"""Unit length, and the one-line refusal of vectors that have no direction."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from src.errors import FeatureFileError


def unit_rows(features: Float32[np.ndarray, "patch feature"]) -> Float32[np.ndarray, "patch feature"]:
    """Each row divided by its L2 norm.

    Raises:
        FeatureFileError: rows of zeros, NaN or infinity, which have no direction.

    >>> unit_rows(np.array([[3, 4]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    # In float64, because the squares of large float32 features overflow; einsum casts piece by piece.
    norms = np.sqrt(np.einsum("pf,pf->p", features, features, dtype=np.float64))[:, None]
    n_bad = int(np.sum(~np.isfinite(norms) | (norms == 0)))
    if n_bad:
        raise FeatureFileError(
            f"features: {n_bad} of {len(features)} vectors are all zero or not finite and cannot be given unit length; "
            "extract these features again"
        )
    unit: np.ndarray = np.divide(features, norms, out=np.empty_like(features), casting="same_kind")
    return unit
