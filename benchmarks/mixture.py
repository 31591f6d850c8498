"""A seeded mixture that is streamed, so that databases of any size take no memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from jaxtyping import Float32

DIM = 256
CHUNK = 20_000
_N_COMPONENTS = 1024
_NOISE = 0.5  # of a component, where the centres have 1


def mixture_vectors(n_rows: int, seed: int) -> Iterator[Float32[np.ndarray, "row dim"]]:
    """Unit vectors around 1024 centres, their variance falling over the dimensions as that of encoders does, rotated.

    Their local intrinsic dimension (maximum likelihood, 20 neighbours of 200,000) is 14.7, as that of CONCH v1.5's
    features of a slide; a rotation changes no distance, and so not this either. HERE's indexed vectors leave a trained
    linear layer, which mixes the dimensions of its input, as the rotation does here.
    """
    rng = np.random.default_rng(seed)
    spread = np.arange(1, DIM + 1, dtype=np.float32) ** -0.7
    for start in range(0, n_rows, CHUNK):
        n = min(CHUNK, n_rows - start)
        noise = _NOISE * rng.standard_normal((n, DIM), dtype=np.float32)
        drawn = ((_centres()[rng.integers(_N_COMPONENTS, size=n)] + noise) * spread) @ _rotation()
        yield drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@cache
def _centres() -> Float32[np.ndarray, "centre dim"]:
    return np.random.default_rng(0).standard_normal((_N_COMPONENTS, DIM), dtype=np.float32)


@cache
def _rotation() -> Float32[np.ndarray, "dim dim"]:
    """One random orthogonal matrix, whatever the seed of the mixture."""
    drawn = np.random.default_rng(4).standard_normal((DIM, DIM))
    return np.asarray(np.linalg.qr(drawn)[0], np.float32)
