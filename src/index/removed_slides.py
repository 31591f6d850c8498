"""Slides that leave a database, as when a patient withdraws consent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from src.errors import ConfigError
from src.interfaces import Codes, Rows

_N_SHOWN = 5


def check_removal(slide_ids: Collection[str], rows: Rows) -> None:
    """Raise ConfigError when slides cannot be taken out because they are not there, or because none would be left."""
    unknown = sorted(set(slide_ids) - set(rows.slide_ids))
    if unknown:
        known = ", ".join(rows.slide_ids[:_N_SHOWN])
        raise ConfigError(f"remove: {unknown[0]} is no slide of the index; it has {known}, ...; nothing was removed")
    if set(slide_ids) == set(rows.slide_ids):
        raise ConfigError(f"remove: names all {len(rows.slide_ids)} slides of the index; delete its folder instead")


def codes_left(codes: Codes, is_removed_row: Bool[np.ndarray, " row"], is_removed: Bool[np.ndarray, " slide"]) -> Codes:
    """The codes of the other slides, and their summaries where there are some."""
    left = codes.take(np.flatnonzero(~is_removed_row))
    return left if codes.summaries is None else replace(left, summaries=codes.summaries[~is_removed])
