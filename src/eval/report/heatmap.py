"""Scores of a slide's patches as colours over the slide.

Source: HERE's attention pictures (data2intelligence/HERE_training, `gen_big_images_and_atten_map_v3.py`, after CLAM's
`visHeatmap`): a score becomes its percentile in the slide, overlapping patches are averaged, and the colours are
blended with the slide at 0.4. Differs from HERE: the colours are turbo's, which has no false edges, instead of jet's.
"""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt8
from scipy.stats import rankdata

from src.interfaces import Image

_ALPHA = 0.4


@dataclass(frozen=True)
class PatchScores:
    """What each patch of a slide is worth.

    Attributes:
        boxes: left, top, width, height; level-0 pixels.
        scores: higher is more; only their order within the slide is shown.
    """

    boxes: Int[np.ndarray, "patch 4"]
    scores: Float[np.ndarray, " patch"]


def heat_map(overview: Image, patches: PatchScores, downsample: float) -> Image:
    """A copy of the overview, coloured where it has patches; it takes no more memory than a few overviews.

    Args:
        overview: the slide, `downsample` times smaller than level 0.
        patches: what is shown; a patch smaller than a pixel of the overview fills one.
        downsample: level-0 pixels per pixel of the overview.
    """
    heights, is_covered = _painted(overview, patches, downsample)
    colours = heat_colours(heights[is_covered])
    picture = overview.copy()
    picture[is_covered] = np.rint((1 - _ALPHA) * overview[is_covered] + _ALPHA * colours)
    return picture


def percentiles(scores: Float[np.ndarray, " patch"]) -> Float64[np.ndarray, " patch"]:
    """Share of the scores at most as high as each, above 0 to 1; equal scores share the mean of their ranks.

    >>> percentiles(np.array([0.1, 0.7, 0.1, 0.1])).tolist()
    [0.5, 1.0, 0.5, 0.5]
    """
    return np.asarray(rankdata(scores) / len(scores), dtype=np.float64)


def heat_colours(heights: Float[np.ndarray, " value"]) -> UInt8[np.ndarray, "value 3"]:
    """RGB from dark blue at 0 over green at 0.5 to dark red at 1; what lies beyond has the colour of the end."""
    return np.asarray(mpl.colormaps["turbo"](heights, bytes=True)[:, :3])


def _painted(
    overview: Image, patches: PatchScores, downsample: float
) -> tuple[Float64[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
    """Mean percentile of the patches over each pixel, and where there is a patch."""
    shape = overview.shape[:2]
    left, top = _on_overview(patches.boxes[:, :2], downsample, shape)
    right, bottom = _on_overview(patches.boxes[:, :2] + patches.boxes[:, 2:], downsample, shape)
    edges = left, top, np.maximum(right, left + 1), np.maximum(bottom, top + 1)
    counts = _stacked(shape, edges, np.ones(len(left)))
    total = _stacked(shape, edges, percentiles(patches.scores))
    is_covered = counts > 0.5
    return np.divide(total, counts, out=np.zeros(shape), where=is_covered), is_covered


def _on_overview(
    corners: Int[np.ndarray, "patch 2"], downsample: float, shape: tuple[int, int]
) -> Int[np.ndarray, "2 patch"]:
    """Columns and rows of corners, kept on the overview."""
    return np.asarray(np.rint(corners.T / downsample).astype(np.int64).clip(0, [[shape[1]], [shape[0]]]))


def _stacked(
    shape: tuple[int, int], edges: tuple[np.ndarray, ...], values: Float[np.ndarray, " patch"]
) -> Float64[np.ndarray, "height width"]:
    """The sum of the values of all patches over each pixel, from the steps at their corners."""
    left, top, right, bottom = edges
    steps = np.zeros((shape[0] + 2, shape[1] + 2))
    for row, column, sign in ((top, left, 1), (bottom, right, 1), (top, right, -1), (bottom, left, -1)):
        np.add.at(steps, (row, column), sign * values)
    stacked: np.ndarray = steps.cumsum(axis=0).cumsum(axis=1)[: shape[0], : shape[1]]
    return stacked
