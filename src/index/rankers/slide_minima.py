"""The nearest row of each slide, from the whole-numbered distances of every row."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, Int32, Int64

from src.interfaces import Neighbours, Rows


def nearest_of_slides_among(
    distances: Int32[np.ndarray, "query row"], rows: Rows, excluded: Bool[np.ndarray, " row"] | None
) -> Neighbours:
    """For each query code the nearest row of each slide; equally near ones give the smaller row.

    Args:
        distances: of every row of the index.
        rows: of the index.
        excluded: rows that are left out.
    """
    n_rows = distances.shape[1]
    largest = (int(distances.max()) + 1) * n_rows
    number = np.int32 if largest <= np.iinfo(np.int32).max else np.int64
    by_distance: np.ndarray = distances.astype(number)
    # The row stands behind the distance, so that the smallest is the first of the nearest.
    by_distance *= n_rows
    by_distance += np.arange(n_rows, dtype=by_distance.dtype)
    if excluded is not None:
        by_distance[:, excluded] = largest
    minima = np.sort(_minima_of_slides(by_distance, rows.slide_of_row), axis=1).astype(np.int64)
    is_found = minima < largest
    nearest = np.where(is_found, minima // n_rows, np.inf).astype(np.float32)
    return Neighbours(nearest, np.where(is_found, minima % n_rows, -1))


def _minima_of_slides(
    values: Int[np.ndarray, "query row"], slide_of_row: Int64[np.ndarray, " row"]
) -> Int[np.ndarray, "query slide"]:
    if (slide_of_row[1:] < slide_of_row[:-1]).any():  # an index is filled slide after slide, but need not be
        order = np.argsort(slide_of_row, kind="stable")
        values, slide_of_row = values[:, order], slide_of_row[order]
    firsts = np.flatnonzero(np.diff(slide_of_row, prepend=-1))
    return np.asarray(np.minimum.reduceat(values, firsts, axis=1))
