"""A leaderboard as leaderboard.csv (plain numbers), leaderboard.md and leaderboard.html (one file, sorted by click).

The values of every class stand in leaderboard_classes.csv, one row per run, metric and class; the tests of every pair
of runs in leaderboard_pairs.csv.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from src.data.files import write_text
from src.eval.leaderboard import Leaderboard
from src.eval.pairs import pair_table
from src.eval.published import COLUMNS
from src.eval.report.figure_view import FigureView
from src.eval.report.formats import quantity
from src.eval.report.page import render
from src.eval.run import Run
from src.eval.statistics import Interval
from src.eval.summary import CHANCE

MISSING = "–"
NOTHING_PUBLISHED = pd.DataFrame(columns=[*COLUMNS, "run", "ours"])


@dataclass(frozen=True)
class Cell:
    """One place of the shown table.

    Attributes:
        text: as a reader wants it.
        interval: shown smaller beside it.
        sort: what the column is sorted by; None sorts last.
        is_best: shown bold.
        macro: the mean over classes, shown below on the page.
    """

    text: str
    interval: str = ""
    sort: int | float | None = None
    is_best: bool = False
    macro: str = ""


def write_leaderboard(
    board: Leaderboard,
    folder: Path,
    title: str = "Leaderboard",
    figures: Mapping[str, Figure] | None = None,
    published: pd.DataFrame = NOTHING_PUBLISHED,
) -> None:
    """Write the files into `folder`, each whole or not at all.

    Args:
        board: what is shown.
        folder: where to.
        title: of the page.
        figures: shown below the table, by their names.
        published: values of others on the same cohorts, as `beside_ours` gives them; leaderboard_published.csv.
    """
    headings = ["engine", "overrides", *_number_headings(board)]
    done = [(run, _cells(board, run, p)) for run, p in zip(board.runs, board.p_values, strict=True) if run.is_done]
    others = [run for run in board.runs if not run.is_done]
    write_text(folder / "leaderboard.csv", board.table().to_csv(index=False))
    write_text(folder / "leaderboard_classes.csv", board.classes().to_csv(index=False))
    write_text(folder / "leaderboard_published.csv", published.to_csv(index=False))
    write_text(folder / "leaderboard.md", _markdown(board, headings, done, others, published))
    views = [FigureView.of(name, name.replace("_", " "), figure) for name, figure in (figures or {}).items()]
    page = {"title": title, "headings": headings, "done": done, "others": others, "board": board, "figures": views}
    page |= {"published": published.to_dict("records"), "n_cohorts": published["cohort"].nunique()}
    write_text(folder / "leaderboard.html", render("leaderboard.html", **page))


def write_pairs(board: Leaderboard, folder: Path, seed: int) -> pd.DataFrame:
    """Write leaderboard_pairs.csv into `folder`; see `pair_table`."""
    done = [run for run in board.runs if run.is_done]
    table = pair_table(done, [board.label(run) for run in done], board.sorted_by, seed)
    write_text(folder / "leaderboard_pairs.csv", table.to_csv(index=False))
    return table


def _number_headings(board: Leaderboard) -> list[str]:
    short = [f"< {k} hits" for k in board.cut_offs]
    return [*board.metrics, "chance top-1", "p", "queries", *short, *(quantity(name, 0)[0] for name in _timings(board))]


def _timings(board: Leaderboard) -> list[str]:
    """Names of the numbers in the runs' timing, in their order."""
    numbers = {name: value for run in board.runs for name, value in run.timing.items()}
    return [name for name, value in numbers.items() if isinstance(value, int | float)]


def _cells(board: Leaderboard, run: Run, p: float | None) -> list[Cell]:
    n_queries = run.metrics.get(board.sorted_by, {}).get("n_queries")
    return [
        *(_metric_cell(run, key, board.best(key)) for key in board.metrics),
        Cell(_decimals(run.value(CHANCE)), sort=run.value(CHANCE)),
        Cell("<0.001" if p is not None and p < 0.001 else _decimals(p), sort=p),
        _count_cell(n_queries),
        *(_count_cell(run.n_short.get(k)) for k in board.cut_offs),
        *(_timing_cell(name, run.timing.get(name)) for name in _timings(board)),
    ]


def _metric_cell(run: Run, key: str, best: float | None) -> Cell:
    value, macro = run.value(key), run.macro(key)
    shown_macro = "" if macro is None else f"macro {_with_interval(macro, run.interval(key, 'macro_ci95'))}"
    is_best = value is not None and value == best
    return Cell(_decimals(value), _bounds(run.interval(key)), value, is_best, shown_macro)


def _count_cell(count: int | None) -> Cell:
    return Cell(MISSING if count is None else str(count), sort=count)


def _timing_cell(name: str, value: Any) -> Cell:
    is_number = isinstance(value, int | float)
    return Cell(quantity(name, value)[1], sort=value) if is_number else Cell(MISSING)


def _with_interval(value: float | None, interval: Interval | None) -> str:
    return f"{_decimals(value)} {_bounds(interval)}".rstrip()


def _bounds(interval: Interval | None) -> str:
    return f"[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def _decimals(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _markdown(
    board: Leaderboard,
    headings: Sequence[str],
    done: Sequence[tuple[Run, list[Cell]]],
    others: Sequence[Run],
    published: pd.DataFrame,
) -> str:
    lines = [_row(headings), _row(["---", "---", *["---:"] * (len(headings) - 2)])]
    lines += [_row([run.name, " ".join(board.own(run)), *map(_markdown_cell, cells)]) for run, cells in done]
    lines += [
        _row([run.name, " ".join(board.own(run)), f"{run.status}: {run.reason}", *[""] * (len(headings) - 3)])
        for run in others
    ]
    shared = [f"\nAll runs: `{' '.join(board.shared)}`"] if board.shared else []
    return "\n".join([*lines, *shared, *_markdown_of_classes(board), *_markdown_of_published(published)]) + "\n"


def _markdown_of_classes(board: Leaderboard) -> list[str]:
    """A second table: the metric that sorts the first one, its mean over classes and its value of each class."""
    key = board.sorted_by
    runs = [run for run in board.runs if run.per_class(key)]
    classes = sorted({name for run in runs for name in run.per_class(key)})
    if not runs:
        return []
    lines = [f"\n{key} by class:\n", _row(["engine", "macro", *classes]), _row(["---", *["---:"] * (1 + len(classes))])]
    for run in runs:
        macro = _with_interval(run.macro(key), run.interval(key, "macro_ci95"))
        of_class, intervals = run.per_class(key), run.class_intervals(key)
        cells = [_with_interval(of_class.get(name), intervals.get(name)) for name in classes]
        lines.append(_row([board.label(run), macro, *cells]))
    return lines


def _markdown_of_published(published: pd.DataFrame) -> list[str]:
    """A third table: what others published on the same cohorts, and our run of the same engine."""
    if published.empty:
        return []
    headings = ["cohort", "engine", "metric", "class", "published", "ours", "run", "source", "note"]
    lines = ["\nPublished on the same cohort:\n", _row(headings), _row(["---"] * len(headings))]
    for row in published.to_dict("records"):
        texts = {name: str(text) for name, text in row.items()}
        numbers = [_decimals(None if pd.isna(row[name]) else row[name]) for name in ("value", "ours")]
        about = [texts[name] for name in ("cohort", "engine", "metric", "class")]
        lines.append(_row([*about, *numbers, texts["run"], texts["source"], texts["note"]]))
    return lines


def _markdown_cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.is_best else cell.text
    return f"{text} {cell.interval}".rstrip()


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;').replace(chr(10), ' ') for cell in cells)} |"
