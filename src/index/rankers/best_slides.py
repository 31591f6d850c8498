"""Slides in the order of one value each."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int64

from src.interfaces import Rows


def best_slides(
    values: Float[np.ndarray, " slide"],
    row_of_slide: Int64[np.ndarray, " slide"],
    rows: Rows,
    k: int,
    is_excluded: Bool[np.ndarray, " row"] | None,
) -> Int64[np.ndarray, " best"]:
    """Places of the `k` slides with the highest values, ties by slide_id.

    Args:
        values: of each slide.
        row_of_slide: where each slide lies; it is left out where this row is.
        rows: of the index.
        k: answers wanted.
        is_excluded: rows that are left out.
    """
    order = np.lexsort((rows.alphabetical, -values))
    return order[:k] if is_excluded is None else order[~is_excluded[row_of_slide[order]]][:k]
