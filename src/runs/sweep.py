"""A sweep ends in one leaderboard, whatever became of its runs."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.experimental.callback import Callback
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig, open_dict
from rich.console import Console
from rich.table import Table

from src.eval.figures import save
from src.eval.groups import tested, write_groups
from src.eval.leaderboard import Leaderboard
from src.eval.leaderboard_files import write_leaderboard, write_pairs
from src.eval.published import beside_ours
from src.eval.run import read_run
from src.runs.job import RUN_FAILED, SLIDES_FAILED, read_status
from src.runs.loggers import log_images, log_table, open_loggers
from src.runs.mosaic_comparison import write_mosaic_comparison
from src.runs.published_tables import published_tables

log = logging.getLogger(__name__)

_SHOWN = ("top1", "mMV@5", "mAP@5", "test/accuracy", "test/auroc", "test/overall", "test/auc", "test/spearman")
_LOGGED_MOSAICS = 8


class LeaderboardCallback(Callback):
    """Hydra calls it when all runs of a sweep have ended; its exit code is that of the sweep."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write leaderboard.csv, .md, .html and the figures into the sweep's folder, and log table and figures."""
        folder = Path(config.hydra.sweep.dir)
        runs = sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        if any((run / "metrics.json").exists() for run in runs):
            _write(folder, runs, config)
        _exit(runs, is_strict=bool(config.strict))


def _write(folder: Path, runs: Sequence[Path], config: DictConfig) -> None:
    board = Leaderboard.of([read_run(run) for run in runs], seed=config.seed)
    figures = _figures(board, config)
    for name, figure in figures.items():
        save(figure, folder / f"{name}.png")
    published = beside_ours(published_tables(config.get("published")), board)
    write_leaderboard(board, folder, f"{config.hydra.job.name}: {len(runs)} runs", figures, published)
    pairs = write_pairs(board, folder, config.seed)
    mosaics = write_mosaic_comparison(board, folder)
    groups = write_groups(board, folder)
    _print(board)
    if groups is not None:
        _print_groups(groups, tested(board))
    print(f"leaderboard: {folder / 'leaderboard.html'}", file=sys.stderr)
    if mosaics:
        print(f"mosaics of all runs: {mosaics[0].parent}", file=sys.stderr)
    config = copy.deepcopy(config)
    with open_dict(config):
        config.paths.run_dir = str(folder)
    with open_loggers(config.logger) as loggers:
        tables = {"leaderboard": board.table(), "classes": board.classes(), "pairs": pairs, "published": published}
        for name, table in tables.items():
            if not table.empty:
                log_table(loggers, name, table)
        if groups is not None:
            log_table(loggers, "groups", groups)
        for name in figures:
            log_images(loggers, f"figures/{name}", [folder / f"{name}.png"], [name])
        if mosaics:
            shown = mosaics[:_LOGGED_MOSAICS]
            log_images(loggers, "mosaics", shown, [path.stem for path in shown])


def _figures(board: Leaderboard, config: DictConfig) -> Mapping[str, Figure]:
    """The figures of `figures=` that have something to show; one that cannot be drawn costs no other result."""
    drawn = {}
    for name, node in (config.get("figures") or {}).items():
        try:
            figure = instantiate(node, _convert_="all")(board)
        except Exception:
            log.exception("figure %s was not drawn", name)
            continue
        if figure is not None:
            drawn[str(name)] = figure
    return drawn


def _print(board: Leaderboard) -> None:
    """What sorts the runs, and a few other metrics; the files have all of them."""
    few = [metric for metric in _SHOWN if metric in board.metrics] or list(board.metrics[:4])
    shown = few if board.sorted_by in few else [board.sorted_by, *few]
    table = Table(title=f"sorted by {board.sorted_by}", title_justify="left")
    for heading in ("run", *shown, "p"):
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for run, p in zip(board.runs, board.p_values, strict=True):
        name = " ".join([run.name, *board.own(run)])
        values = [_decimals(run.value(metric)) for metric in shown] if run.is_done else [f"{run.status}: {run.reason}"]
        table.add_row(name, *values, *([_decimals(p)] if run.is_done else []))
    Console().print(table)


def _print_groups(groups: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Mean and spread of what sums up the runs of each group."""
    shown = groups[groups["metric"].isin(metrics) & (groups["class"] == "")]
    table = Table(title="mean ± deviation over seeds and splits", title_justify="left")
    for heading in ("group", "metric", "runs", "mean", "±"):
        table.add_column(heading, justify="left" if heading in ("group", "metric") else "right")
    for row in shown.to_dict("records"):
        table.add_row(row["group"], row["metric"], str(row["n_runs"]), _decimals(row["mean"]), _decimals(row["sd"]))
    Console().print(table)


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _exit(runs: Sequence[Path], is_strict: bool) -> None:
    """Leave with a code that says whether a run, or a slide, failed; skipped combinations are no failure."""
    statuses = [read_status(run) for run in runs]
    if any(status["status"] in ("failed", "killed") for status in statuses):
        sys.exit(RUN_FAILED)
    if is_strict and any(status.get("n_failed_slides") for status in statuses):
        sys.exit(SLIDES_FAILED)
