"""The code of HERE on frozen features: unit vectors in the database, one pooled unit vector as the query.

Source: HERE (bioRxiv 2025.10.25.684566) and its web portal's `app_common.py`, which searches for one vector per query:
the patches weighted by attention, summed, at unit length.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from src.index.codes.normalise import unit_rows
from src.interfaces import CodeKind, Codes


class Here:
    """Many database vectors per slide, one query vector per slide.

    Differs from HERE: patches are pooled by their mean and features are not projected, because this is the form for
    frozen features; the attention weights and the projection of a trained head take these places when there is one.
    """

    kind: CodeKind = "float"

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """One unit vector per patch.

        Raises:
            FeatureFileError: vectors that are all zero or not finite.
        """
        return Codes(unit_rows(features))

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """One unit vector: the mean of the patches' unit vectors, at unit length again.

        Raises:
            FeatureFileError: vectors that are all zero or not finite, or that cancel out in the mean.
        """
        return Codes(unit_rows(unit_rows(features).mean(axis=0, keepdims=True)))
