"""A leaderboard as leaderboard.csv (plain numbers), leaderboard.md and leaderboard.html (one file, sorted by click).

The values of every class stand in leaderboard_classes.csv, one row per run, metric and class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from src.data.files import write_text
from src.eval.leaderboard import Leaderboard, Run
from src.eval.report.figure_view import FigureView
from src.eval.report.formats import quantity
from src.eval.report.page import render
from src.eval.summary import CHANCE

MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """One place of the shown table.

    Attributes:
        text: as a reader wants it.
        interval: shown smaller beside it.
        sort: what the column is sorted by; None sorts last.
        is_best: shown bold.
    """

    text: str
    interval: str = ""
    sort: int | float | None = None
    is_best: bool = False


def write_leaderboard(
    board: Leaderboard, folder: Path, title: str = "Leaderboard", figures: Mapping[str, Figure] | None = None
) -> None:
    """Write the files into `folder`, each whole or not at all.

    Args:
        board: what is shown.
        folder: where to.
        title: of the page.
        figures: shown below the table, by their names.
    """
    headings = ["engine", "overrides", *_number_headings(board)]
    done = [(run, _cells(board, run, p)) for run, p in zip(board.runs, board.p_values, strict=True) if run.is_done]
    others = [run for run in board.runs if not run.is_done]
    write_text(folder / "leaderboard.csv", board.table().to_csv(index=False))
    write_text(folder / "leaderboard_classes.csv", board.classes().to_csv(index=False))
    write_text(folder / "leaderboard.md", _markdown(board, headings, done, others))
    views = [FigureView.of(name, name.replace("_", " "), figure) for name, figure in (figures or {}).items()]
    page = {"title": title, "headings": headings, "done": done, "others": others, "board": board, "figures": views}
    write_text(folder / "leaderboard.html", render("leaderboard.html", **page))


def _number_headings(board: Leaderboard) -> list[str]:
    return [*board.metrics, "chance top-1", "p", "queries", *(quantity(name, 0)[0] for name in _timings(board))]


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
        Cell(MISSING if n_queries is None else str(n_queries), sort=n_queries),
        *(_timing_cell(name, run.timing.get(name)) for name in _timings(board)),
    ]


def _metric_cell(run: Run, key: str, best: float | None) -> Cell:
    value = run.value(key)
    bounds = run.metrics.get(key, {}).get("ci95")
    interval = f"[{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""
    return Cell(_decimals(value), interval, value, is_best=value is not None and value == best)


def _timing_cell(name: str, value: Any) -> Cell:
    is_number = isinstance(value, int | float)
    return Cell(quantity(name, value)[1], sort=value) if is_number else Cell(MISSING)


def _decimals(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _markdown(
    board: Leaderboard, headings: Sequence[str], done: Sequence[tuple[Run, list[Cell]]], others: Sequence[Run]
) -> str:
    lines = [_row(headings), _row(["---", "---", *["---:"] * (len(headings) - 2)])]
    lines += [_row([run.name, " ".join(board.own(run)), *map(_markdown_cell, cells)]) for run, cells in done]
    lines += [
        _row([run.name, " ".join(board.own(run)), f"{run.status}: {run.reason}", *[""] * (len(headings) - 3)])
        for run in others
    ]
    shared = [f"\nAll runs: `{' '.join(board.shared)}`"] if board.shared else []
    return "\n".join([*lines, *shared]) + "\n"


def _markdown_cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.is_best else cell.text
    return f"{text} {cell.interval}".rstrip()


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;').replace(chr(10), ' ') for cell in cells)} |"
