"""The figures of a run: one function per figure, one style for all, no pyplot state.

Colours are those of Okabe and Ito (Color Universal Design, 2008), without yellow, which is faint on white.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox, BboxBase

from src.data.files import written_whole

INK = "#1c2026"
MUTED = "#6a7180"
RULE = "#e3e6eb"
ACCENT = "#0072b2"
PALETTE = (ACCENT, "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f5fc7")

_MARKERS = ("o", "^", "s")
_MAX_CELL_TEXT = 16
_LEADER = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "text.color": INK,
    # A label is text, whatever it holds: "$" starts no formula.
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
styled = mpl.rc_context(_STYLE)
"""Decorates a function that draws a figure."""


@mpl.rc_context(_STYLE)
def per_class_bars(
    metric: str, values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]] | None = None
) -> Figure:
    """One bar per class, in the order given, with its interval where there is one.

    Args:
        metric: name of the metric, the title.
        values: class to value, 0 to 1.
        intervals: class to (low, high).
    """
    axes = _axes(6.4, 0.9 + 0.3 * len(values))
    axes.set_title(metric)
    axes.barh(range(len(values)), list(values.values()), height=0.62, color=ACCENT)
    for row, name in enumerate(values):
        low, high = (intervals or {}).get(name, (values[name], values[name]))
        axes.plot([low, high], [row, row], color=INK, linewidth=1.4)
        axes.annotate(f"{values[name]:.2f}", (max(high, 0), row), (5, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(values)), [_short(name) for name in values])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="x")
    return _figure(axes)


@mpl.rc_context(_STYLE)
def confusion_matrix(counts: Int[np.ndarray, "label label"], class_names: Sequence[str]) -> Figure:
    """Rows are the classes of the queries, columns those of the hits; shade is the share of the row.

    Args:
        counts: queries of class `row` whose hit is of class `column`; a row may be empty.
        class_names: one name per row.
    """
    side = 1.6 + 0.42 * len(class_names)
    axes = _axes(side + 0.6, side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.pcolormesh(shares, cmap=_from_clear_to(ACCENT), vmin=0, vmax=1, edgecolors=RULE, linewidth=0.6)
    if len(class_names) <= _MAX_CELL_TEXT:
        _write_counts(axes, counts, shares)
    names = [_short(name) for name in class_names]
    axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)
    axes.set_xlabel("class of the first hit")
    axes.set_ylabel("class of the query")
    return _figure(axes)


@mpl.rc_context(_STYLE)
def precision_at_rank(precision: Mapping[str, Float[np.ndarray, " rank"]], chance: float | None = None) -> Figure:
    """Mean precision of the first k hits, k = 1, 2, ...; one line per name.

    Args:
        precision: name to precision at each k, 0 to 1.
        chance: precision of a random order, drawn dashed.
    """
    axes = _axes(6.4, 3.4)
    for colour, (name, values) in zip(_cycle(len(precision)), precision.items(), strict=True):
        ranks = np.arange(1, len(values) + 1)
        axes.plot(ranks, values, color=colour, linewidth=1.8, marker="o", markersize=3.4, label=_short(name))
    if chance is not None:
        _draw_level(axes, f"chance {chance:.2f}", chance)
    if len(precision) > 1:
        axes.legend()
    axes.set_xlabel("k")
    axes.set_ylabel("precision of the first k hits")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, 1.02)
    axes.grid(axis="y")
    return _figure(axes)


@mpl.rc_context(_STYLE)
def boxes_per_engine(metric: str, values: Mapping[str, Float[np.ndarray, " value"]], row_in: float = 0.48) -> Figure:
    """One box per engine over its values (queries, or classes), with every value as a dot and the mean as a diamond."""
    axes = _axes(6.4, 1.0 + row_in * len(values))
    _draw_boxes(axes, metric, values)
    axes.invert_yaxis()
    return _figure(axes)


@mpl.rc_context(_STYLE)
def accuracy_time_and_size(
    metric: str,
    values: Mapping[str, Float[np.ndarray, " value"]],
    latencies_ms: Mapping[str, tuple[float, float]],
    bytes_per_row: Mapping[str, float],
) -> Figure:
    """Three panels with one row per index: boxes of a metric, time per query, and size; times and sizes on log scales.

    Args:
        metric: name of the metric.
        values: index to its values (classes), 0 to 1.
        latencies_ms: index to (median, 95th percentile), above 0.
        bytes_per_row: index to its size over its rows, above 0.
    """
    figure = Figure(figsize=(11, 1.2 + 0.34 * len(values)), layout="constrained")
    boxes, times, sizes = figure.subplots(1, 3, sharey=True, width_ratios=(3, 2, 2))
    _draw_boxes(boxes, metric, values)
    rows = range(1, len(values) + 1)
    medians, highest = zip(*(latencies_ms[name] for name in values), strict=True)
    times.hlines(rows, medians, highest, color=ACCENT, linewidth=1.4)
    _draw_dots(times, "ms per query, to p95", medians, rows)
    _draw_dots(sizes, "bytes per row", [bytes_per_row[name] for name in values], rows)
    boxes.invert_yaxis()
    return figure


@mpl.rc_context(_STYLE)
def speed_against_accuracy(metric: str, points: Mapping[str, tuple[float, float]]) -> Figure:
    """Every engine as a dot: milliseconds per query (log scale) against a metric; up and left is better.

    In a crowd, dots that have no room for a label have none.

    Args:
        metric: name of the metric.
        points: engine to (latency_ms > 0, value).
    """
    axes = _axes(6.4, 4.0)
    _use_log_scale(axes)
    axes.margins(0.14)
    latencies, values = zip(*points.values(), strict=True) if points else ((), ())
    axes.scatter(latencies, values, s=46, color=ACCENT, zorder=3)
    axes.set_xlabel("milliseconds per query")
    axes.set_ylabel(metric)
    axes.grid()
    figure = _figure(axes)
    _label_without_overlap(figure, axes, {_short(name): point for name, point in points.items()})
    return figure


@mpl.rc_context(_STYLE)
def accuracy_against_cost(
    metric: str, values: Mapping[str, Float[np.ndarray, " value"]], gflops: Mapping[str, float | None]
) -> Figure:
    """Every encoder as its median over classes, quartiles and range, against operations per patch (log scale).

    Args:
        metric: name of the metric.
        values: encoder to its values (classes), at least one.
        gflops: encoder to 10^9 operations, above 0; None for an encoder without a count, drawn dashed at its median.
    """
    axes = _axes(6.4, 4.0)
    _use_log_scale(axes)
    points = {}
    for name, cost in gflops.items():
        text = f"{_short(name)} {np.median(values[name]):.2f}"
        if cost is None:
            _draw_level(axes, text, float(np.median(values[name])))
        else:
            points[text] = (cost, float(np.median(values[name])))
            _draw_spread(axes, cost, values[name])
    costs = [cost for cost, _ in points.values()] or [1.0]
    axes.set_xlim(min(costs) / 2, max(costs) * 2)
    axes.set_xlabel("GFLOP per patch")
    axes.set_ylabel(metric)
    axes.grid()
    figure = _figure(axes)
    _label_without_overlap(figure, axes, points)
    return figure


@mpl.rc_context(_STYLE)
def embedding_map(features: Float[np.ndarray, "slide feature"], labels: Sequence[str]) -> Figure:
    """Slides in the plane of their first two principal components, coloured by label.

    The 21 most frequent labels have a colour and marker of their own, the others are grey.

    Raises:
        ValueError: there are fewer than three slides or two feature columns, or another number of labels.
    """
    if min(features.shape[0] - 1, features.shape[1]) < 2 or len(labels) != len(features):
        raise ValueError(
            f"embedding map: {features.shape[0]} slides with {features.shape[1]} features and {len(labels)} labels; "
            "give at least 3 slides, 2 features and one label per slide"
        )
    plane, explained = _principal_plane(features)
    axes = _axes(6.4, 4.4)
    own = [label for label, _ in Counter(labels).most_common(len(PALETTE) * len(_MARKERS))]
    for place, label in enumerate(own):
        colour, marker = PALETTE[place % len(PALETTE)], _MARKERS[place // len(PALETTE)]
        _scatter(axes, plane, np.array([each == label for each in labels]), colour, marker, _short(label))
    _scatter(axes, plane, np.array([each not in own for each in labels]), MUTED, ".", "other")
    axes.set_xlabel(f"component 1 ({explained[0]:.0%} of the variance)")
    axes.set_ylabel(f"component 2 ({explained[1]:.0%})")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, handletextpad=0.3)
    return _figure(axes)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of 160 dots per inch on white, whole or not at all."""
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160, facecolor="white")


def _axes(width_in: float, height_in: float) -> Axes:
    return Figure(figsize=(width_in, height_in), layout="constrained").subplots()


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _draw_boxes(axes: Axes, title: str, values: Mapping[str, Float[np.ndarray, " value"]]) -> None:
    axes.set_title(title)
    axes.boxplot(
        list(values.values()),
        orientation="horizontal",
        widths=0.5,
        showfliers=False,
        patch_artist=True,
        showmeans=True,
        boxprops={"facecolor": to_rgba(ACCENT, 0.22), "edgecolor": ACCENT},
        medianprops={"color": INK, "linewidth": 1.6},
        whiskerprops={"color": ACCENT},
        capprops={"color": ACCENT},
        meanprops={"marker": "D", "markerfacecolor": INK, "markeredgecolor": INK, "markersize": 4},
    )
    jitter = np.random.default_rng(0)
    for row, single in enumerate(values.values(), start=1):
        axes.scatter(single, row + jitter.uniform(-0.16, 0.16, len(single)), s=7, color=INK, alpha=0.28, linewidths=0)
    axes.set_yticks(range(1, len(values) + 1), [_short(name) for name in values])
    axes.grid(axis="x")


def _draw_dots(axes: Axes, title: str, values: Sequence[float], rows: Sequence[int]) -> None:
    axes.set_title(title)
    axes.set_xscale("log")
    axes.scatter(values, rows, s=30, color=ACCENT, zorder=3)
    for value, row in zip(values, rows, strict=True):
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        axes.annotate(shown, (value, row), (0, 5), textcoords="offset points", ha="center", fontsize=8)
    axes.margins(x=0.2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x")


def _draw_spread(axes: Axes, x: float, values: Float[np.ndarray, " value"]) -> None:
    """A line over the range, a bar over the quartiles, a dot at the median."""
    low, quarter, median, three_quarters, high = np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
    axes.vlines(x, low, high, color=ACCENT, linewidth=1.2)
    axes.vlines(x, quarter, three_quarters, color=to_rgba(ACCENT, 0.3), linewidth=9)
    axes.scatter(x, median, s=46, color=ACCENT, zorder=3)


def _draw_level(axes: Axes, text: str, y: float) -> None:
    axes.axhline(y, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
    axes.annotate(text, (1, y), (0, 4), ("axes fraction", "data"), "offset points", ha="right")


def _use_log_scale(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def _short(name: str, longest: int = 28) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


def _cycle(count: int) -> list[str]:
    return [PALETTE[place % len(PALETTE)] for place in range(count)]


def _from_clear_to(colour: str) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("shade", [to_rgba(colour, 0), to_rgba(colour, 1)])


def _write_counts(axes: Axes, counts: Int[np.ndarray, "label label"], shares: Float[np.ndarray, "label label"]) -> None:
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.55 else INK
        axes.text(column + 0.5, row + 0.52, f"{counts[row, column]}", ha="center", va="center", color=colour)


def _principal_plane(
    features: Float[np.ndarray, "slide feature"],
) -> tuple[Float[np.ndarray, "slide 2"], Float[np.ndarray, " component"]]:
    left, singular, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    variance = np.square(singular)
    # The sign of a component is arbitrary: the entry farthest from zero is made positive.
    signs = np.sign(left[np.abs(left[:, :2]).argmax(axis=0), [0, 1]])
    return left[:, :2] * signs * singular[:2], variance[:2] / max(variance.sum(), np.finfo(variance.dtype).tiny)


def _scatter(
    axes: Axes, plane: Float[np.ndarray, "slide 2"], chosen: np.ndarray, colour: str, marker: str, label: str
) -> None:
    if chosen.any():
        x, y = plane[chosen].T
        axes.scatter(x, y, s=24, color=colour, marker=marker, alpha=0.85, linewidths=0, label=label)


def _label_without_overlap(figure: Figure, axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    figure.draw_without_rendering()
    taken = [_around(axes.transData.transform(point)) for point in points.values()]
    for (name, point), dot in zip(points.items(), list(taken), strict=True):
        label = axes.annotate(name, point, (8, 0), textcoords="offset points", va="center", in_layout=False)
        place = _settle(label, [box for box in taken if box is not dot], axes.bbox)
        if place is None:
            label.remove()
            continue
        taken.append(place)
        axes.annotate("", point, label.get_position(), textcoords="offset points", arrowprops=_LEADER, in_layout=False)


def _around(dot: Float[np.ndarray, " xy"], radius: float = 7.0) -> Bbox:
    return Bbox([dot - radius, dot + radius])


def _settle(label: Annotation, taken: Sequence[Bbox], inside: BboxBase) -> Bbox | None:
    """Move a label around its dot until it overlaps nothing; None when every place is taken."""
    for dy, (dx, side) in product((0, 15, -15, 30, -30, 45, -45), ((8, "left"), (-8, "right"))):
        label.set(position=(dx, dy), ha=side)
        box = label.get_window_extent()
        is_inside = inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
        if is_inside and not box.count_overlaps(taken):
            return box
    return None
