"""Pictures beside each other, each under its name."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from src.eval.figures import styled
from src.interfaces import Image

_PER_ROW = 4
_SIDE_IN = 2.6


@styled
def side_by_side(pictures: Mapping[str, Image], title: str) -> Figure:
    """Up to four pictures a row, all of one width.

    Args:
        pictures: name to picture; at least one.
        title: above all of them.
    """
    n_columns = min(_PER_ROW, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    height_in = 0.3 + _SIDE_IN * max(picture.shape[0] / picture.shape[1] for picture in pictures.values())
    figure = Figure(figsize=(_SIDE_IN * n_columns, 0.4 + height_in * n_rows), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (name, picture) in zip(grid.flat, pictures.items(), strict=False):
        axes.imshow(picture)
        axes.set_title(name, fontsize=9)
    return figure
