"""Table, ratios to HERE's index, and figure of `index_frontier`."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.frontier_systems import FLAT, HALF, HERE, HNSWLIB, OURS, RABITQ
from benchmarks.markdown import markdown_table
from src.eval.figures import MUTED, PALETTE, RULE

_COLUMNS = {
    "data": "{}",
    "index": "{}",
    "setting": "{}",
    "tuning_recall": "{:.3f}",
    "recall": "{:.3f}",
    "query_ms": "{:.3f}",
    "bytes_per_vector": "{:.1f}",
    "resident_bytes_per_vector": "{:.1f}",
    "build_s": "{:.1f}",
}


def markdown(table: pd.DataFrame) -> str:
    """Rows as a Markdown table."""
    shown = [[form.format(row[name]) for name, form in _COLUMNS.items()] for row in table.to_dict("records")]
    return markdown_table(list(_COLUMNS), shown, n_words=3)


def verdicts(table: pd.DataFrame) -> list[str]:
    """One line per question: the ratio, and what it is held against."""
    lines = []
    for data, own in table.groupby("data", sort=False):
        for index, nprobe in ((RABITQ, 32), (OURS, 32), (HALF, 32), (OURS, 8)):
            lines += _against_here(str(data), own, index, nprobe)
        lines += _against_hnswlib(str(data), own) + _against_bandwidth(str(data), own)
    return lines + _growth(table)


def draw(table: pd.DataFrame) -> Figure:
    """Recall against milliseconds per query, a panel per data set; the area of a dot is bytes per vector."""
    panels = list(table.groupby("data", sort=False))
    figure = Figure(figsize=(5 * len(panels) + 1.6, 4.2), layout="constrained")
    colours = dict(zip(table["index"].unique(), (*PALETTE, MUTED, "black", *PALETTE), strict=False))
    for axes, (data, own) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for index, points in own.groupby("index", sort=False):
            line = _frontier(points)
            axes.plot(line["query_ms"], line["recall"], color=colours[index], linewidth=1)
            axes.scatter(
                line["query_ms"], line["recall"], s=line["bytes_per_vector"] / 2, color=colours[index], alpha=0.6
            )
        axes.axhline(0.95, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set(xscale="log", xlabel="ms of CPU per query", ylabel="recall@10", ylim=(0, 1.05))
        axes.set_title(data, loc="left", fontsize=10)
        axes.grid(color=RULE)
        axes.spines[["top", "right"]].set_visible(False)
    handles = [axes.scatter([], [], s=30, color=colour, label=index) for index, colour in colours.items()]
    figure.legend(handles=handles, frameon=False, fontsize=8, loc="outside right upper")
    return figure


def _frontier(points: pd.DataFrame) -> pd.DataFrame:
    """The settings that no other setting of the index beats in both time and recall."""
    ordered = points.sort_values(["query_ms", "recall"], ascending=[True, False])
    return ordered[ordered["recall"] > ordered["recall"].cummax().shift(fill_value=-1)]


def _against_here(data: str, table: pd.DataFrame, index: str, nprobe: int) -> list[str]:
    here = table[(table["index"] == HERE) & (table["setting"] == f"nprobe {nprobe}")]
    own = table[(table["index"] == index) & table["is_chosen"]]
    if here.empty or own.empty:
        return []
    a, b = own.iloc[0], here.iloc[0]
    names = ("bytes_per_vector", "resident_bytes_per_vector", "query_ms", "build_s")
    ratios = [a[name] / b[name] for name in names]
    return [
        f"{data}: {index} ({a['setting']}) against HERE at nprobe {nprobe}: recall {a['recall']:.3f} to "
        f"{b['recall']:.3f}, {ratios[0]:.2f}x bytes ({ratios[1]:.2f}x resident), {ratios[2]:.2f}x time per query, "
        f"{ratios[3]:.2f}x build"
    ]


def _against_hnswlib(data: str, table: pd.DataFrame) -> list[str]:
    own = table[(table["index"] == OURS) & table["is_chosen"]]
    theirs = table[(table["index"] == HNSWLIB) & table["is_chosen"]]
    if own.empty or theirs.empty:
        return []
    a, b = own.iloc[0], theirs.iloc[0]
    return [
        f"{data}: {OURS} ({a['setting']}, recall {a['recall']:.3f}) against hnswlib ({b['setting']}, recall "
        f"{b['recall']:.3f}): 1/{b['bytes_per_vector'] / a['bytes_per_vector']:.1f} of its bytes "
        f"(1/{b['resident_bytes_per_vector'] / a['resident_bytes_per_vector']:.1f} resident), "
        f"{a['query_ms'] / b['query_ms']:.2f}x time per query, {a['build_s'] / b['build_s']:.2f}x build"
    ]


def _against_bandwidth(data: str, table: pd.DataFrame) -> list[str]:
    flat = table[table["index"] == FLAT]
    if flat.empty:
        return []
    row = flat.iloc[0]
    return [
        f"{data}: exact search takes {row['query_ms']:.2f} ms, a plain pass over the vectors {row['bound_ms']:.2f} ms: "
        f"{row['query_ms'] / row['bound_ms']:.2f}x"
    ]


def _growth(table: pd.DataFrame) -> list[str]:
    """How the time of a setting grows from the smallest mixture to the largest; the one chosen for the largest."""
    lines = []
    grown = table[table["data"].str.startswith("mixture")]
    for index, own in grown.groupby("index", sort=False):
        large = own[own["is_chosen"]].iloc[-1]
        small = own[own["setting"] == large["setting"]].iloc[0]
        lines.append(
            f"{index} ({large['setting']}), {small['n_rows']:,} to {large['n_rows']:,} rows: "
            f"{large['query_ms'] / small['query_ms']:.2f}x time per query, most memory that a chunk of rows took "
            f"{small['overhead_MB']:.0f} to {large['overhead_MB']:.0f} MB"
        )
    return lines
