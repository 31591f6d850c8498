"""The min-max barcode: a feature vector as the signs of its steps, which are compared by Hamming distance.

Source: Kalra et al., "Yottixel - an image search engine for large archives of histopathology whole slide images",
2020; KimiaLabMayo/yottixel (commit 7ef1239), `helper_functions.get_bob`: 1 where the next feature is smaller. SISH
(mahmoodlab/SISH, commit 42fe005, `build_index.min_max_binarized`) writes 1 where it is not, after a leading 0, so that
both give the same distances.
Differs from both: features that are not finite are refused; their steps have no sign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float32

from src.errors import ConfigError, FeatureFileError
from src.index.codes.finite import expect_finite
from src.interfaces import CodeKind, Codes

Bits = Bool[np.ndarray, "patch bit"]


def falls(features: Float32[np.ndarray, "patch feature"]) -> Bits:
    """Yottixel's bits, one fewer than features: 1 where the next feature is smaller; equal ones give 0.

    >>> falls(np.array([[1, 3, 2, 2]], dtype=np.float32)).astype(int).tolist()
    [[0, 1, 0]]
    """
    return np.asarray(features[:, 1:] < features[:, :-1])


def rises(features: Float32[np.ndarray, "patch feature"]) -> Bits:
    """SISH's bits, as many as features: 0 first, then 1 where a feature is at least the one before it.

    >>> rises(np.array([[1, 3, 2, 2]], dtype=np.float32)).astype(int).tolist()
    [[0, 1, 0, 1]]
    """
    return np.pad(~falls(features), ((0, 0), (1, 0)))


_BITS: Mapping[str, Callable[[Float32[np.ndarray, "patch feature"]], Bits]] = {"yottixel": falls, "sish": rises}


class Barcode:
    """One barcode per patch, for database and query alike.

    Args:
        bits: of `yottixel` or of `sish`; they differ in what is stored, not in any distance.

    Raises:
        ConfigError: other bits.
    """

    kind: CodeKind = "binary"

    def __init__(self, bits: str) -> None:
        if bits not in _BITS:
            raise ConfigError(f"code barcode: bits is {bits!r}, expected one of {', '.join(_BITS)}")
        self.bits = bits

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """The barcodes, first bit highest, the last byte filled up with zeros.

        Raises:
            FeatureFileError: features that are not finite, or a single one, which has no next.
        """
        _check(features)
        bits = _BITS[self.bits](features)
        return Codes(np.packbits(bits, axis=1), bits.shape[1])

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """As `encode`."""
        return self.encode(features)


def _check(features: Float32[np.ndarray, "patch feature"]) -> None:
    if features.shape[1] < 2:
        raise FeatureFileError(
            f"features have {features.shape[1]} columns, a barcode takes at least 2; choose another encoder= or code="
        )
    expect_finite(features)
