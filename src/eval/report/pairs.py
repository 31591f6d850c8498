"""What a training on slides and reports has found, as one HTML file: curves, slides and reports as points, examples."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from src.data.files import write_text
from src.eval.report.page import inline_svg, render
from src.interfaces import Image

_SHOWN = ("top1", "chance_top1", "pathsearch/recall@5", "pathsearch/MV@5")


@dataclass(frozen=True)
class FoundSlide:
    """A slide that a report has found.

    Attributes:
        label: empty where it has none.
        is_right: it has the label of the report's own slide; None where one of both has none.
        score: cosine of its vector and the report's.
    """

    slide_id: str
    label: str
    is_right: bool | None
    score: float
    picture: Image


@dataclass(frozen=True)
class TextExample:
    """A report, its own slide, and the slides of other patients that it finds."""

    text: str
    slide_id: str
    label: str
    picture: Image
    found: Sequence[FoundSlide]


@dataclass(frozen=True)
class PairsReport:
    """All that the page shows.

    Attributes:
        facts: of the training.
        curves: per epoch.
        projection: slides and reports as points.
        projection_caption: what it shows.
        directions: from `cross_modal_table`; empty where no test slide has a label.
        examples: on test slides.
    """

    title: str
    facts: Mapping[str, object]
    curves: Figure
    projection: Figure
    projection_caption: str
    directions: pd.DataFrame
    examples: Sequence[TextExample]


def write_pairs_report(path: Path, report: PairsReport) -> None:
    """Write the page, whole or not at all."""
    html = render(
        "pairs.html",
        report=report,
        curves=inline_svg(report.curves, "curves", "loss and share of reports found per epoch"),
        projection=inline_svg(report.projection, "projection", report.projection_caption),
        metrics=_SHOWN,
        directions=_by_direction(report.directions),
    )
    write_text(path, html)


def _by_direction(table: pd.DataFrame) -> dict[str, dict[str, dict[Hashable, Any]]]:
    directions: dict[str, dict[str, dict[Hashable, Any]]] = {}
    for row in table.to_dict("records"):
        name = str(row["direction"]).replace("image", "slide").replace("_", " ")
        directions.setdefault(name, {})[str(row["metric"])] = row
    return directions
