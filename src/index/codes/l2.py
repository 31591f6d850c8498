"""Features at unit length, so that the inner product is the cosine (PLIP, RetCCL, the encoder comparison of HERE)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from src.index.codes.normalise import unit_rows
from src.interfaces import CodeKind, Codes


class L2:
    """One unit vector per patch, for database and query alike."""

    kind: CodeKind = "float"

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """One unit vector per patch.

        Raises:
            FeatureFileError: vectors that are all zero or not finite.
        """
        return Codes(unit_rows(features))

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """As `encode`."""
        return self.encode(features)
