"""The code of SISH: an integer key that patches are found by, and a min-max barcode that they are compared by.

Source: Chen et al., "Fast and scalable search of whole-slide images via self-supervised deep learning", 2022;
mahmoodlab/SISH (commit 42fe005), `build_index.py`. See `integer_key` and `barcode`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from src.index.codes.barcode import Barcode
from src.interfaces import CodeKind, Codes
from src.models.vqvae.integer_key import N_LEVELS, keys_of


class Sish:
    """One key and one barcode per patch, for database and query alike."""

    kind: CodeKind = "keyed"

    def __init__(self) -> None:
        self._barcode = Barcode("sish")

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """The key of the first three columns, the barcode of the others.

        Raises:
            IncompatibleParts: columns that are no sums of a key.
            FeatureFileError: features that are not finite.
        """
        barcodes = self._barcode.encode(features[:, N_LEVELS:])
        return Codes(barcodes.values, barcodes.n_bits, keys_of(features[:, :N_LEVELS]))

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """As `encode`."""
        return self.encode(features)
