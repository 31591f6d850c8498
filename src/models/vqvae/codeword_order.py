"""Which integer each codeword becomes, so that near integers are codewords that look alike.

SISH offers a file for its own weights (`codebook_semantic.pt`, old integer -> new) and does not say how it was made.
Differs from SISH: for other weights the codewords can be put in the order of their first principal component.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64

from src.errors import WeightsUnavailable
from src.models.weights import read_torch

PRINCIPAL = "principal"


def codeword_order(
    setting: str | None, codewords: Float32[np.ndarray, "codeword channel"]
) -> Int64[np.ndarray, " codeword"]:
    """The integer of each codeword.

    Args:
        setting: `principal`, a file such as SISH's, or None for the integers as they were trained.
        codewords: of the network.

    Raises:
        WeightsUnavailable: a file that does not number these codewords.
    """
    if setting is None:
        return np.arange(len(codewords))
    if setting == PRINCIPAL:
        return _by_principal_component(codewords)
    return _read(Path(setting), len(codewords))


def _by_principal_component(codewords: Float32[np.ndarray, "codeword channel"]) -> Int64[np.ndarray, " codeword"]:
    centred = codewords.astype(np.float64) - codewords.mean(axis=0, dtype=np.float64)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    direction *= np.sign(direction[np.argmax(np.abs(direction))])  # a direction has no sign of its own
    order = np.argsort(centred @ direction, kind="stable")
    return np.argsort(order, kind="stable")


def _read(path: Path, n_codewords: int) -> Int64[np.ndarray, " codeword"]:
    raw = read_torch(path)
    values = list(raw.values())
    is_tensor = len(values) == 1 and isinstance(values[0], torch.Tensor) and values[0].ndim == 1
    numbers = [int(new) for new in (values[0] if is_tensor else [raw.get(old, -1) for old in range(n_codewords)])]
    if sorted(numbers) != list(range(n_codewords)):
        raise WeightsUnavailable(
            f"{path}: does not number {n_codewords} codewords from 0 on; give the file of these weights, or "
            f"key_encoder.codebook_semantic={PRINCIPAL}"
        )
    return np.array(numbers, dtype=np.int64)
