"""Learned barcodes: the signs of features after a rotation that was fitted to the database (ITQ).

Differs from `index=itq_lsh`, which hashes inside the index: any binary index and any ranking can take these barcodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32

from src.data.files import written_whole
from src.errors import ConfigError, IncompatibleParts
from src.index.codes.finite import expect_finite
from src.index.itq import check_n_bits, fitted_binariser
from src.interfaces import CodeKind, Codes


class Itq:
    """One barcode per patch, for database and query alike.

    Args:
        n_bits: a multiple of 8, at most the dimension of the features; a sample of fewer patches lowers it.
    """

    kind: CodeKind = "binary"

    def __init__(self, n_bits: int) -> None:
        check_n_bits(n_bits, "code itq")
        self.n_bits = n_bits
        self._binariser: Any = None

    def fit(self, sample: Float32[np.ndarray, "patch feature"]) -> None:
        """Fit the rotation.

        Raises:
            ConfigError: more bits than dimensions, or fewer than 8 patches.
            FeatureFileError: features that are not finite.
        """
        expect_finite(sample)
        self._binariser = fitted_binariser(sample, self.n_bits, "code itq")

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """The signs, eight to a byte.

        Raises:
            FeatureFileError: features that are not finite.
            IncompatibleParts: features of another dimension than the sample.
        """
        if self._binariser is None:
            raise ConfigError("code itq is not fitted; build an index with it, or load one")
        expect_finite(features)
        if features.shape[1] != self._binariser.d:
            raise IncompatibleParts(
                f"features have {features.shape[1]} columns, code itq was fitted to {self._binariser.d}; "
                "use the encoder of the index, or build it again"
            )
        barcodes = self._binariser.sa_encode(np.ascontiguousarray(features))
        return Codes(barcodes, 8 * barcodes.shape[1])

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """As `encode`."""
        return self.encode(features)

    def save(self, path: Path) -> None:
        """Write one faiss file."""
        with written_whole(path) as temporary:
            faiss.write_index(self._binariser, str(temporary))

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        self._binariser = faiss.read_index(str(path))
