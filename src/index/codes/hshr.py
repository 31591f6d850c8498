"""The code of HSHR: the signs of a learned hash, and how much each vector of a slide counts.

Source: Li et al., "Hypergraph-guided slide-level histology retrieval with self-supervised hashing" (HSHR), 2023;
Lucius-lsr/HSHR (commit 58582e6). It compares signs by cosine, which is 1 - 2 Hamming / bits: the order is the same.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from src.data.files import digest, written_whole
from src.errors import IncompatibleParts, WeightsUnavailable
from src.interfaces import CodeKind, Codes
from src.models.auto_checkpoint import AUTO
from src.models.hashing.network import HashEncoder, read_hash_encoder
from src.models.hashing.recipe import HashRecipe
from src.models.weights import digest_of


class Hshr:
    """One barcode per vector, for database and query alike.

    Args:
        checkpoint: HSHR's model_best.pth, a checkpoint of train.py model=hshr, or what `training` has made.
        training: what `checkpoint=auto` stands for.
    """

    kind: CodeKind = "binary"

    def __init__(self, checkpoint: str, training: HashRecipe) -> None:
        self.checkpoint = checkpoint
        self.training = training

    @cached_property
    def encoder(self) -> HashEncoder:
        """The hash encoder, read when it is first needed.

        Raises:
            WeightsUnavailable: a checkpoint that cannot be read.
        """
        if self.checkpoint == AUTO:
            raise WeightsUnavailable(
                "code.checkpoint=auto: a hash encoder is trained when an index is built; give a FILE here"
            )
        return read_hash_encoder(Path(self.checkpoint))

    def digest(self) -> str:
        """Names the hash encoder."""
        return digest({"code": "hshr", "weights": digest_of(self.encoder)})

    def write(self, path: Path) -> None:
        """Write the hash encoder."""
        with written_whole(path) as temporary:
            torch.save(self.encoder.state_dict(), temporary)

    @torch.inference_mode()
    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """The signs of the vectors of one slide, and their weights.

        Raises:
            IncompatibleParts: features of another dimension than the hash encoder was trained on.
        """
        if features.shape[1] != self.encoder.dim_in:
            raise IncompatibleParts(
                f"features have {features.shape[1]} columns, the hash encoder of {self.checkpoint} takes "
                f"{self.encoder.dim_in}; use the encoder it was trained on, or code.checkpoint=auto"
            )
        vectors = torch.from_numpy(features)
        return sign_codes(self.encoder.codes(vectors).numpy(), self.encoder.weights(vectors).numpy())

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """As `encode`."""
        return self.encode(features)


def sign_codes(values: Float32[np.ndarray, "vector bit"], weights: Float32[np.ndarray, " vector"]) -> Codes:
    """A bit per value, 1 where it is above 0; first bit highest, the last byte filled up with zeros.

    >>> sign_codes(np.array([[0.5, -1, 0.2]], dtype=np.float32), np.ones(1, dtype=np.float32)).values.tolist()
    [[160]]
    """
    return Codes(np.packbits(values > 0, axis=1), values.shape[1], weights=weights)
