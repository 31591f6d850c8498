"""The answer to one query as one HTML file that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.data.files import write_text
from src.eval.report.page import render
from src.eval.report.predictions import N_EXTREME, class_bars, number_bars
from src.interfaces import Image
from src.models.predicted import Predicted

MAX_PICTURED = 40
"""Hits that are shown with pictures; those after them are rows of a table, so that the page stays light."""

NOTHING_FOUND = (
    "Nothing was found among the slides that may answer. An approximate index looks at a part of its rows; "
    "index=flat, or a higher index.nprobe where there is one, looks at more."
)


@dataclass(frozen=True)
class HitView:
    """One hit and its pictures.

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
        heat: the same, coloured by the attention of its patches; None without a trained head.
        z: standard deviations from the background's mean distance; None without a background.
        p: share of the background as near as the hit or nearer.
        p_adjusted: p after Benjamini-Hochberg over the hits.
        report: what was said of the slide, where that is what was found; None where the slide is.
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
    heat: Image | None = None
    z: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    report: str | None = None


@dataclass(frozen=True)
class QueryPicture:
    """One image of the query, its patches drawn, and its name."""

    name: str
    picture: Image


@dataclass(frozen=True)
class ScaleView:
    """A scale of the query that was searched, and its first hit.

    Attributes:
        halvings: how often the image was halved.
        picture: the query with its patches at this scale.
        first_hit: slide_id, empty where nothing was found.
        z: of the first hit, as `p`.
        is_shown: its hits are those of the page.
    """

    halvings: int
    picture: Image
    n_patches: int
    first_hit: str
    distance: float
    z: float
    p: float
    is_shown: bool


@dataclass(frozen=True)
class QueryReport:
    """All that the page shows.

    Attributes:
        query_image: path or name of the query as the user gave it, or its words.
        query_pictures: the images of the query, small, with their patches drawn.
        facts: engine, encoder, index, ...; a unit at the end of a name (`_ms`, `_px`, `_bytes`) is written behind the
            value.
        hits: best first.
        timing: step to time, such as `search_ms`.
        manifest: facts of the index folder.
        query_labels: label column to value where the query has labels; a hit's labels are compared with them.
        distance_unit: what the distance is, such as "1 − cosine".
        score_unit: what the score is, such as "minus the distance".
        scales: all that were searched, if there were several.
        predictions: of a trained head; empty without one.
        has_attention: the patches are tinted by their attention.
        is_text: the query is words, without pictures.
    """

    title: str
    query_image: str
    query_pictures: Sequence[QueryPicture]
    facts: Mapping[str, object]
    hits: Sequence[HitView]
    timing: Mapping[str, object]
    manifest: Mapping[str, object]
    query_labels: Mapping[str, str] = field(default_factory=dict)
    distance_unit: str = "as the index states it"
    score_unit: str = "as the ranking states it"
    scales: Sequence[ScaleView] = ()
    predictions: Sequence[Predicted] = ()
    has_attention: bool = False
    is_text: bool = False


def write_query_report(path: Path, report: QueryReport) -> None:
    """Write the page, whole or not at all."""
    html = render(
        "query.html",
        report=report,
        pictured=report.hits[:MAX_PICTURED],
        listed=report.hits[MAX_PICTURED:],
        bar_of=_bars([hit.score for hit in report.hits]),
        scale_bar_of=_bars([-scale.z for scale in report.scales]),
        classes=class_bars(report.predictions),
        numbers=number_bars(report.predictions),
        n_extreme=N_EXTREME,
        nothing_found=NOTHING_FOUND,
    )
    write_text(path, html)


def _bars(scores: Sequence[float]) -> list[float]:
    """Length of each score's bar in percent: 100 for the highest score, 6 for the lowest, 0 for none."""
    known = [score for score in scores if math.isfinite(score)]
    lowest, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    lengths = [6 + 94 * (score - lowest) / span if span else 100.0 for score in scores]
    return [length if math.isfinite(score) else 0.0 for length, score in zip(lengths, scores, strict=True)]
