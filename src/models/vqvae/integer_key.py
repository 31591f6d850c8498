"""The integer that orders patches in SISH, and the three sums that it is made of.

Source: SISH, Methods; mahmoodlab/SISH (commit 42fe005), `build_index.py` and `database.py`. The map of codewords is
averaged over 2 x 2 three times, and the sums of the three smaller maps are written one behind the other as digits.
The averages are whole numbers, rounded down, because torch averages the integers of the official code so; averages
with fractions, as the paper writes them, are `float_pooling`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from src.errors import IncompatibleParts

N_LEVELS = 3
"""Sums per patch: of the maps that are 2, 4 and 8 times smaller."""

SUM_STEP = 10**11
"""What one unit of the last, coarsest sum adds to a key."""

_FACTORS = (1, 10**6, SUM_STEP)
_LIMITS = (10**6, 10**5, np.inf)  # of the sums, so that digits do not meet
_FINEST = 64  # float-pooled sums are multiples of 1/64


def level_sums(
    codes: Int64[np.ndarray, "patch row column"], float_pooling: bool = False
) -> Float32[np.ndarray, "patch 3"]:
    """Sums of the three smaller maps of codewords; float32 holds them exactly.

    Args:
        codes: codewords, sides divisible by 8.
        float_pooling: keep the fractions of averages.

    >>> level_sums(np.full((1, 8, 8), 5)).tolist()
    [[80.0, 20.0, 5.0]]
    """
    sums = []
    level = codes.astype(np.float64)
    for _ in range(N_LEVELS):
        level = (level[:, ::2, ::2] + level[:, 1::2, ::2] + level[:, ::2, 1::2] + level[:, 1::2, 1::2]) / 4
        level = level if float_pooling else np.floor(level)
        sums.append(level.sum((1, 2)))
    return np.stack(sums, axis=1).astype(np.float32)


def keys_of(sums: Float32[np.ndarray, "patch 3"]) -> Int64[np.ndarray, " patch"]:
    """The key of each patch: their order is that of the coarsest sum, then of the finer ones.

    Raises:
        IncompatibleParts: columns that cannot be sums of codewords.

    >>> keys_of(np.array([[80, 20, 5]], dtype=np.float32)).tolist()
    [500020000080]
    """
    _check(sums)
    keys: np.ndarray = sums.astype(np.float64) @ np.array(_FACTORS, np.float64)  # exact below 2^53
    return keys.astype(np.int64)


def _check(sums: Float32[np.ndarray, "patch 3"]) -> None:
    is_sum = np.isfinite(sums) & (sums >= 0) & (sums < _LIMITS) & (sums * _FINEST % 1 == 0)
    if not is_sum.all():
        raise IncompatibleParts(
            f"the first {N_LEVELS} columns of the features are no keys of patches (found "
            f"{sums[~is_sum.all(axis=1)][0].tolist()}), which code=sish needs; extract them with key_encoder=vqvae"
        )
