"""The patients whose slides a training without labels is not shown, so that it can be judged on them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from src.errors import ConfigError


def held_back(patients: Iterable[str], fraction: float, seed: int) -> frozenset[str]:
    """A random share of the patients, at least one and never all; none where `fraction` is 0.

    Raises:
        ConfigError: a fraction that is not 0 to 1 (not included), or one patient alone.
    """
    if not 0 <= fraction < 1:
        raise ConfigError(f"val_fraction is {fraction}; expected 0 to 1, 1 not included")
    if not fraction:
        return frozenset()
    known = sorted(set(patients))
    if len(known) < 2:
        raise ConfigError("the cohort has one patient, none can be held back; set val_fraction=0")
    n_held_back = min(max(1, round(fraction * len(known))), len(known) - 1)
    return frozenset(str(patient) for patient in np.random.default_rng(seed).permutation(known)[:n_held_back])
