"""Features as the encoder gave them, for plain Euclidean distance (`get_results_v4` of HERE's encoder comparison)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from src.interfaces import CodeKind, Codes


class Raw:
    """The identity."""

    kind: CodeKind = "float"

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """The features themselves."""
        return Codes(features)

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """As `encode`."""
        return self.encode(features)
