"""The answer to one query as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.data.files import write_text
from src.eval.report.page import render
from src.interfaces import Image

MAX_PICTURED = 40
"""Hits that are shown with pictures; those after them are rows of a table, so that the page stays light."""


@dataclass(frozen=True)
class HitView:
    """One hit and its three pictures.

    Attributes:
        rank: 1 for the first.
        x: left of the nearest patch, level-0 pixels.
        y: top of the nearest patch, level-0 pixels.
        distance: as the index states it; smaller is nearer.
        score: as the ranking states it; higher is better.
        labels: label column to value.
        patch: the nearest patch.
        context: the field around it, the patch outlined.
        slide: the whole slide, the patch's place marked.
    """

    rank: int
    slide_id: str
    patient_id: str
    x: int
    y: int
    distance: float
    score: float
    labels: Mapping[str, str]
    patch: Image
    context: Image
    slide: Image


@dataclass(frozen=True)
class QueryReport:
    """All that the page shows.

    Attributes:
        query_image: path or name of the query, as the user gave it.
        query_picture: the query, small, with its patches drawn.
        facts: engine, encoder, index, ...; a unit at the end of a name (`_ms`, `_px`, `_bytes`) is written behind the
            value.
        hits: best first.
        timing: step to time, such as `search_ms`.
        manifest: facts of the index folder.
        query_labels: label column to value where the query has labels; a hit's labels are compared with them.
        distance_unit: what the distance is, such as "1 − cosine".
        score_unit: what the score is, such as "minus the distance".
    """

    title: str
    query_image: str
    query_picture: Image
    facts: Mapping[str, object]
    hits: Sequence[HitView]
    timing: Mapping[str, object]
    manifest: Mapping[str, object]
    query_labels: Mapping[str, str] = field(default_factory=dict)
    distance_unit: str = "as the index states it"
    score_unit: str = "as the ranking states it"


def write_query_report(path: Path, report: QueryReport) -> None:
    """Write the page, whole or not at all."""
    html = render(
        "query.html",
        report=report,
        pictured=report.hits[:MAX_PICTURED],
        listed=report.hits[MAX_PICTURED:],
        bar_of=_bars([hit.score for hit in report.hits]),
    )
    write_text(path, html)


def _bars(scores: Sequence[float]) -> list[float]:
    """Length of each score's bar in percent: 100 for the highest score, 6 for the lowest."""
    if not scores:
        return []
    lowest, span = min(scores), max(scores) - min(scores)
    return [6 + 94 * (score - lowest) / span if span else 100.0 for score in scores]
