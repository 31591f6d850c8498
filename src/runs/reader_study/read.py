"""Filled sheets become results: checked, un-blinded, shown on the terminal and written."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from src.errors import HistoseekError
from src.eval.reader_study.results import Results, evaluate, write_results
from src.eval.reader_study.sheets import Sheet, read_sheet
from src.eval.reader_study.study import load_study

_MOST_LINES = 20
_SHARES = {
    "aspect": "aspect",
    "method": "method",
    "n_items": "scores",
    "mean": "mean",
    "share_5": "5",
    "share_4": "4",
    "share_4_or_5": "4 or more",
    "low": "low",
    "high": "high",
}
_COMPARISONS = {
    "aspect": "aspect",
    "method_a": "method",
    "method_b": "against",
    "n_queries": "n",
    "mean_difference": "diff.",
    "wilcoxon_p": "p",
    "wilcoxon_holm": "Holm",
    "patient_p": "p patient",
}
_AGREEMENT = {
    "aspect": "aspect",
    "reader_a": "reader",
    "reader_b": "and",
    "n_items": "items",
    "pearson_r": "Pearson r",
}


def read_study(folder: Path, sheets: Sequence[Path], out: Path, reference: str | None = None) -> Results:
    """Check the sheets, un-blind them, compare the methods and write the results.

    Raises:
        HistoseekError: a sheet holds something that is no score of this study; every fault is printed before.
    """
    study = load_study(folder)
    items = study.items["item"].tolist()
    read = [read_sheet(path, items, study.aspects) for path in sheets]
    _refuse_faults(read)
    results = evaluate(study, read, reference)
    _print_lines("not scored", results.gaps)
    write_results(out, results)
    print(
        f"{out}: {results.n_left_out} of {len(results.scores)} scores left out; report.html, results.json, scores.csv"
    )
    return results


def print_results(results: Results) -> None:
    """Shares, comparisons and agreement as tables."""
    console = Console()
    for title, table, columns in (
        ("median scores of the readers", results.shares, _SHARES),
        (
            "differences of methods, paired per query (Wilcoxon p, Holm's correction, p by patient)",
            results.comparisons,
            _COMPARISONS,
        ),
        ("agreement of readers", results.agreement, _AGREEMENT),
    ):
        if len(table):
            console.print(_as_table(title, table, columns))


def _refuse_faults(sheets: Sequence[Sheet]) -> None:
    faults = [fault for sheet in sheets for fault in sheet.faults]
    if faults:
        _print_lines("error", faults[:-1])
        raise HistoseekError(faults[-1])


def _print_lines(kind: str, lines: Sequence[str]) -> None:
    for line in lines[:_MOST_LINES]:
        print(f"{kind}: {line}", file=sys.stderr)
    if len(lines) > _MOST_LINES:
        print(f"{kind}: {len(lines) - _MOST_LINES} more such lines", file=sys.stderr)


def _as_table(title: str, table: pd.DataFrame, columns: Mapping[str, str]) -> Table:
    shown = Table(title=title, title_justify="left")
    for name, heading in columns.items():
        is_number = table[name].dtype.kind in "if"
        shown.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    for row in table[list(columns)].itertuples(index=False):
        shown.add_row(*(f"{value:.2g}" if isinstance(value, float) else str(value) for value in row))
    return shown
