"""A query, its hit, and where each node of a network sees their likeness."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import matplotlib as mpl
import numpy as np
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.eval.figures import styled
from src.interfaces import Image

Heats = Mapping[tuple[int, str], Float32[np.ndarray, "height width"]]

_COLOURS = mpl.colormaps["turbo"]
_OPACITY = 0.45
_CELL_IN = 1.7


@styled
def cam_grid(query: Image, hit: Image, heats: Heats) -> Figure:
    """One row per layer, one column per node, the query and the hit before them.

    Args:
        query: its patch.
        hit: the patch that the maps lie over.
        heats: 0 to 1, by (layer from 1, node).
    """
    layers, nodes = (list(dict.fromkeys(keys)) for keys in zip(*heats, strict=True))
    size = (_CELL_IN * (1 + len(nodes)), _CELL_IN * max(2, len(layers)) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(max(2, len(layers)), 1 + len(nodes), squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    _show(grid[0, 0], query, "query")
    _show(grid[1, 0], hit, "hit")
    for row, layer in enumerate(layers):
        for column, node in enumerate(nodes, start=1):
            _show(grid[row, column], overlay(hit, heats[layer, node]), f"layer {layer}, {node}")
    return figure


def overlay(picture: Image, heat: Float32[np.ndarray, "height width"]) -> Image:
    """The picture tinted from dark blue, 0, to red, 1."""
    enlarged = cv2.resize(heat, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    tint = 255 * _COLOURS(np.clip(enlarged, 0, 1))[..., :3]
    mixed: Image = ((1 - _OPACITY) * picture + _OPACITY * tint).astype(np.uint8)
    return mixed


def _show(axes: Axes, picture: Image, title: str) -> None:
    axes.imshow(picture)
    axes.set_title(title, fontsize=8, fontweight="normal")
