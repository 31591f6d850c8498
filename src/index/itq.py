"""Iterative quantisation: the rotation of a sample whose signs lose least; shared by the code and the index.

Source: Gong et al., "Iterative quantization", 2013, as faiss has it; HERE's comparison of indexes uses its factory
string `ITQ{n_bits},LSH`. The rotation starts from a fixed seed, so that the same sample gives the same bits.
"""

from __future__ import annotations

import logging
from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32

from src.errors import ConfigError, IncompatibleParts
from src.models.one_thread import one_thread

_log = logging.getLogger(__name__)


def check_n_bits(n_bits: int, part: str) -> None:
    """Raise ConfigError for bits that do not fill bytes; `part` names who asks, such as `index itq_lsh`."""
    if n_bits < 8 or n_bits % 8:
        raise ConfigError(f"{part}: n_bits is {n_bits}, expected a multiple of 8 such as 32, 64 or 128")


def fitted_binariser(vectors: Float32[np.ndarray, "row dim"], n_bits: int, part: str) -> Any:
    """A faiss index whose `sa_encode` gives the signs, `n_bits` of them or, of a small sample, fewer.

    Raises:
        IncompatibleParts: more bits than dimensions.
        ConfigError: fewer than 8 vectors.
    """
    n_vectors, dim = vectors.shape
    fitted_n_bits = _fitted_n_bits(n_bits, n_vectors, dim, part)
    binariser = faiss.index_factory(vectors.shape[1], f"ITQ{fitted_n_bits},LSH")
    with one_thread():
        binariser.train(vectors)
    return binariser


def _fitted_n_bits(n_bits: int, n_vectors: int, dim: int, part: str) -> int:
    if n_bits > dim:
        raise IncompatibleParts(
            f"{part}: n_bits is {n_bits}, expected at most the {dim} dimensions of the codes; lower n_bits"
        )
    # The rotation starts from as many principal components as there are bits.
    fitted = min(n_bits, n_vectors // 8 * 8)
    if fitted == 0:
        raise ConfigError(f"{part}: {n_vectors} training vectors, expected at least 8; use index=flat")
    if fitted < n_bits:
        _log.warning("%s: n_bits lowered from %d to %d for %d training vectors", part, n_bits, fitted, n_vectors)
    return fitted
