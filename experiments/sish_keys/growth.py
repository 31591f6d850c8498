"""Time and memory of SISH's guided search as the database grows, beside exhaustive search over the same barcodes.

`python -m experiments.sish_keys.growth` prints the table. Keys and barcodes are random: keys as a VQ-VAE spreads them
over the coarsest sum, barcodes of 1024 bits around 50 kinds of patch. It takes a minute and 1 GB.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import faiss
import numpy as np

from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.guided import Guided
from src.interfaces import Codes, Index
from src.models.vqvae.integer_key import SUM_STEP

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_N_PATCHES = 50  # of the query
_N_KINDS = 50
_N_FLIPS = 1_000
_P_FLIP = 0.05
_N_REPEATS = 3


def database(n: int, seed: int = 0) -> Codes:
    """Random keys and barcodes."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(600, 4200, n) * SUM_STEP + rng.integers(0, 10**9, n)
    kinds = rng.integers(0, 256, (_N_KINDS, 128), dtype=np.uint8)
    flips = np.packbits(rng.random((_N_FLIPS, 1024)) < _P_FLIP, axis=1)
    return Codes(kinds[rng.integers(0, _N_KINDS, n)] ^ flips[rng.integers(0, _N_FLIPS, n)], 1024, keys)


def ms_per_patch(search: Callable[[], object]) -> float:
    """Median of three, after one that is not counted."""
    search()
    times = []
    for _ in range(_N_REPEATS):
        started = time.perf_counter()
        search()
        times.append(1000 * (time.perf_counter() - started) / _N_PATCHES)
    return median(times)


def main() -> None:
    """Print one row per size."""
    faiss.omp_set_num_threads(1)
    print("| rows | guided, ms per patch | exhaustive, ms per patch | guided, bytes per row |")
    print("| ---: | ---: | ---: | ---: |")
    for n in _SIZES:
        codes = database(n)
        query = codes.take(slice(0, _N_PATCHES))
        guided: Index = Guided(10, 50, 375, 375, 128, include_equal_key=False, all_entries_per_key=False)
        exhaustive: Index = BinaryFlat()
        for index in (guided, exhaustive):
            index.add(codes)
        times = [ms_per_patch(partial(index.search, query, 100)) for index in (guided, exhaustive)]
        print(f"| {n:,} | {times[0]:.2f} | {times[1]:.2f} | {codes.values.shape[1] + 32} |")


if __name__ == "__main__":
    main()
