"""Features in two dimensions, coloured by class.

Source: UMAP, McInnes et al. 2018, by umap-learn with its seed 42, as LGFFEM's figure of its test patches
(camilo-nunez/ffnir, ntbk_03); principal components where umap-learn is not installed or patches are few.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from jaxtyping import Float32
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from src.eval.figures import PALETTE, styled

Method = Literal["UMAP", "PCA"]
Points = Float32[np.ndarray, "patch 2"]

_LEAST_FOR_UMAP = 16  # it looks at 15 neighbours
_MANY = mpl.colormaps["nipy_spectral"]  # the paper's
_LEGEND_ROWS = 18


def project(features: Float32[np.ndarray, "patch feature"], seed: int = 42) -> tuple[Points, Method]:
    """The patches as points, and how they were found.

    Args:
        features: at least two rows and two columns.
        seed: of UMAP, which then runs in one thread.
    """
    umap = _umap() if len(features) >= _LEAST_FOR_UMAP else None
    if umap is None:
        return PCA(n_components=2, random_state=seed).fit_transform(features).astype(np.float32), "PCA"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"n_jobs value .* overridden")
        return umap.UMAP(n_components=2, random_state=seed).fit_transform(features).astype(np.float32), "UMAP"


@styled
def projection_figure(
    points: Points, classes: Sequence[str], method: Method, title: str, marks: Sequence[str] | None = None
) -> Figure:
    """The points, with a legend of the classes in alphabetical order, `s2` before `s10`.

    Args:
        points: from `project`.
        classes: of each point.
        method: from `project`.
        title: of the figure.
        marks: what each point is drawn as, `o` or `x`; dots where None.
    """
    names = sorted(set(classes), key=_numbered)
    figure = Figure(figsize=(6.4 + 1.2 * (len(names) > _LEGEND_ROWS), 5.0), layout="constrained")
    axes = figure.subplots()
    colours = PALETTE if len(names) <= len(PALETTE) else [_MANY(x) for x in np.linspace(0.03, 0.95, len(names))]
    of_class, shapes = np.asarray(classes), np.asarray(marks if marks is not None else ["o"] * len(classes))
    for name, colour in zip(names, colours, strict=False):
        for mark in sorted(set(shapes[of_class == name])):
            x, y = points[(of_class == name) & (shapes == mark)].T
            size, width = (26, 1.2) if mark == "x" else (9, 0)
            label = name if mark == min(shapes[of_class == name]) else None
            axes.scatter(x, y, size, color=colour, marker=mark, label=label, linewidths=width, alpha=0.8)
    axes.set_title(title)
    axes.set_xlabel(f"{method} 1")
    axes.set_ylabel(f"{method} 2")
    axes.set_xticks([])
    axes.set_yticks([])
    figure.legend(loc="outside right upper", ncols=-(-len(names) // _LEGEND_ROWS), markerscale=2.5, handletextpad=0.2)
    return figure


def _numbered(name: str) -> tuple[str, int]:
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or -1)


def _umap() -> Any:
    try:
        import umap  # here, as it takes seconds to import
    except ImportError:
        return None
    return umap
