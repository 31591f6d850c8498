"""Two encoders of one patch side by side: the sums of its key, then its features.

SISH finds patches by a key, made of pixels, and compares them by a barcode, made of another network's features. Stored
as one row, both go through extraction, mosaic and index like the features of any encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from src.interfaces import Encoder, Image
from src.models.vqvae.integer_key import N_LEVELS


@runtime_checkable
class KeyEncoder(Protocol):
    """Patches to the sums that their integer keys are made of."""

    name: str

    def fingerprint(self) -> dict[str, Any]:
        """Everything that shapes the sums, weights' digest included; JSON-serialisable."""
        ...

    def sums(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch 3"]:
        """The sums of each patch, finest level first."""
        ...


class NoKeys:
    """Stands for no key encoder: features are stored as the encoder gives them."""


class KeyedEncoder:
    """Three columns of sums, then the encoder's.

    Args:
        key_encoder: gives the sums.
        encoder: gives the features.
    """

    def __init__(self, key_encoder: KeyEncoder, encoder: Encoder) -> None:
        self._key_encoder = key_encoder
        self._encoder = encoder
        self.name = f"{key_encoder.name}+{encoder.name}"
        self.dim = N_LEVELS + encoder.dim
        self.mpp = encoder.mpp
        self.batch_size = encoder.batch_size

    def fingerprint(self) -> dict[str, Any]:
        """Of both."""
        return {"key_encoder": self._key_encoder.fingerprint(), "encoder": self._encoder.fingerprint()}

    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        """Sums and features of each patch."""
        return np.hstack([self._key_encoder.sums(patches), self._encoder.encode(patches)])
