"""Bags of random features and labels of HERE's 66 targets, as files of both loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from src.data.feature_files import PatchGeometry, write_features
from src.data.progress import tracked
from src.data.targets import GENE_TARGETS, REGRESSION_TARGETS

DIM = 512  # of CONCH
N_BAGS_PER_STEP = 8

_PATCH_PX = 256
_GEOMETRY = PatchGeometry((_PATCH_PX, _PATCH_PX), (_PATCH_PX, _PATCH_PX), 0.5, (100_000, 100_000), 0.5, "table")


def write_bags(folder: Path, n_bags: int, fewest: int, most: int, seed: int) -> list[int]:
    """Write `<slide>.h5` (ours), `<slide>.pt` (official) and labels.csv; returns the patches of each bag."""
    rng = np.random.default_rng(seed)
    n_patches = [int(n) for n in rng.integers(fewest, most + 1, n_bags)]
    for i, n in enumerate(tracked(n_patches, "bags")):
        features = rng.standard_normal((n, DIM), dtype=np.float32)
        coords = np.stack([np.arange(n) % 300, np.arange(n) // 300], axis=1).astype(np.int64) * _PATCH_PX
        write_features(folder / f"{_name(i)}.h5", coords, features, _GEOMETRY, {"encoder": "random"})
        torch.save(torch.from_numpy(features), folder / f"{_name(i)}.pt")
    _labels(n_bags, rng).to_csv(folder / "labels.csv", index=False)
    return n_patches


def _name(i: int) -> str:
    return f"slide{i:03d}"


def _labels(n_bags: int, rng: np.random.Generator) -> pd.DataFrame:
    """A fifth of the genes is not sequenced; the first slides have both classes of all."""
    genes = rng.choice(3, (n_bags, len(GENE_TARGETS)), p=[0.5, 0.3, 0.2])
    genes[0], genes[1] = 0, 1
    columns = {"slide_id": [_name(i) for i in range(n_bags)]}
    classes = dict(zip(GENE_TARGETS, genes.T, strict=True))
    numbers = dict(zip(REGRESSION_TARGETS, rng.standard_normal((len(REGRESSION_TARGETS), n_bags)), strict=True))
    return pd.DataFrame({**columns, **classes, **numbers})
