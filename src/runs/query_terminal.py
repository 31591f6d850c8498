"""The answer to a query on the terminal: scales, hits, and what a head predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from src.eval.report.predictions import notable, title_of
from src.eval.report.query import NOTHING_FOUND
from src.runs.query_answer import Answer
from src.runs.query_tables import CHANCE_COLUMNS, scales_table

_NUMBERS = ("rank", "x", "y", "distance", "z", "p", "p adjusted", "score", "halvings", "patches")
_NARROWEST = 110


def print_answer(hits: pd.DataFrame, answer: Answer, query: str, labels: Sequence[str]) -> None:
    """Print every hit, the scales if there are several, and the targets that stand out.

    Args:
        hits: from `hits_table`.
        answer: what they answer.
        query: its name, for the title.
        labels: columns of `hits` that are shown.
    """
    console = Console(markup=False)
    if not console.is_terminal:
        console.width = max(console.width, _NARROWEST)
    if len(answer.scales) > 1:
        console.print("scales, * is shown", _scales(scales_table(answer)))
    console.print(f"{len(hits)} hits for {query}", soft_wrap=True)
    console.print(_hits(hits, labels) if len(hits) else NOTHING_FOUND)
    for kind, targets in notable(answer.predictions).items():
        if targets:
            values = ", ".join(f"{title_of(target)} {target.value:.2f}" for target in targets)
            console.print(f"predicted, {kind}: {values}", soft_wrap=True)


def _scales(scales: pd.DataFrame) -> Table:
    table = _table(["halvings", "patches", "first hit", "distance", "z", "p"])
    for row in scales.to_dict("records"):
        name = f"{'* ' if row['is_shown'] else ''}{row['halvings']}"
        numbers = (_short(row["distance"]), _short(row["z"], 3), _short(row["p"], 3))
        table.add_row(name, str(row["patches"]), _short(row["first_hit"]), *numbers)
    return table


def _hits(hits: pd.DataFrame, labels: Sequence[str]) -> Table:
    chance = [name for name in CHANCE_COLUMNS if hits[name].notna().any()]
    named = [name.replace("_", " ") for name in chance]
    table = _table(["rank", "slide", "patient", *labels, "x", "y", "distance", *named, "score"])
    for row in hits.to_dict("records"):
        texts = [_short(row[name]) for name in ("slide_id", "patient_id", *labels, "x", "y")]
        numbers = [_short(row["distance"]), *(_short(row[name], 3) for name in chance), _short(row["score"])]
        table.add_row(str(row["rank"] + 1), *texts, *numbers)
    return table


def _table(headings: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    return table


def _short(value: object, digits: int = 4) -> str:
    if not isinstance(value, float):
        return str(value)
    return "–" if math.isnan(value) else f"{value:.{digits}g}"
