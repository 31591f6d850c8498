"""Spots drawn on their slide, coloured by cluster or by the expression of a gene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from src.interfaces import Image

_CLUSTER_COLOURS = mpl.colormaps["tab10"]
_GENE_COLOURS = mpl.colormaps["jet"]
_PERCENTILES = (1, 99)


@dataclass(frozen=True)
class SpotPlaces:
    """Where spots lie on a picture.

    Attributes:
        overview: the slide, small.
        centres: x, y, pixels of the overview.
        radius_px: of a spot, pixels of the overview.
    """

    overview: Image
    centres: Float64[np.ndarray, "spot 2"]
    radius_px: float


def spot_map(
    places: SpotPlaces, clusters: Int64[np.ndarray, " spot"], genes: Mapping[str, Float64[np.ndarray, " spot"]]
) -> Figure:
    """The slide, its clusters, and each gene, side by side.

    A gene's colours (jet) run from its 1st to its 99th percentile, as in HERE's gene maps.
    """
    left, right, top, bottom = _field(places)
    width_in = 4.4 * (2 + len(genes))
    figure = Figure(figsize=(width_in, 4.4 * (bottom - top) / (right - left) + 0.9), layout="constrained")
    slide, cluster, *of_gene = figure.subplots(1, 2 + len(genes), sharex=True, sharey=True)
    _draw(slide, places, "slide", None)
    _draw(cluster, places, "clusters", _CLUSTER_COLOURS(clusters % _CLUSTER_COLOURS.N))
    names = np.unique(clusters).tolist()
    handles = [Circle((0, 0), color=_CLUSTER_COLOURS(name % _CLUSTER_COLOURS.N), label=str(name)) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(names), frameon=False, handlelength=1.0)
    for axes, (gene, values) in zip(of_gene, genes.items(), strict=True):
        low, high = np.percentile(values, _PERCENTILES)
        _draw(axes, places, gene, _GENE_COLOURS(np.clip((values - low) / max(high - low, 1e-12), 0, 1)))
    slide.set_xlim(left, right)
    slide.set_ylim(bottom, top)
    return figure


def _field(places: SpotPlaces) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of what is shown: all spots and a margin, inside the overview."""
    height, width = places.overview.shape[:2]
    margin = 6 * places.radius_px
    low, high = places.centres.min(axis=0) - margin, places.centres.max(axis=0) + margin
    left, top = np.maximum(low, 0).tolist()
    right, bottom = np.minimum(high, [width, height]).tolist()
    return left, right, top, bottom


def _draw(axes: Axes, places: SpotPlaces, title: str, colours: Float64[np.ndarray, "spot 4"] | None) -> None:
    axes.imshow(places.overview)
    axes.set_title(title, loc="left", fontweight="bold", fontsize=11)
    axes.set_axis_off()
    if colours is not None:
        circles = [Circle((x, y), places.radius_px) for x, y in places.centres]
        axes.add_collection(PatchCollection(circles, facecolors=colours, alpha=0.75, linewidths=0))
