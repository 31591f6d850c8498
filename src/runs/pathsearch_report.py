"""What a training of PathSearch shows: slides and reports as points, and slides that reports have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32
from matplotlib.figure import Figure

from src.data.cohort import Cohort
from src.eval.cross_modal import Paired
from src.eval.figures import save
from src.eval.projection import Method, project, projection_figure
from src.eval.report.pairs import FoundSlide, PairsReport, TextExample, write_pairs_report
from src.runs.loggers import Logger, log_images
from src.runs.slide_pictures import SlidePictures

PROJECTION_FILE = "projection.png"
REPORT_FILE = "report.html"
_N_EXAMPLES, _N_FOUND = 6, 5


@dataclass(frozen=True)
class Shown:
    """The test slides of a training.

    Attributes:
        paired: their vectors; a slide without a label has an empty one.
        texts: their reports.
        directions: from `cross_modal_table`.
        facts: of the training.
        curves: per epoch.
        seed: of projection and examples.
    """

    paired: Paired
    texts: Sequence[str]
    directions: pd.DataFrame
    facts: Mapping[str, object]
    curves: Figure
    seed: int


def show_training(run_dir: Path, cohort: Cohort, shown: Shown, loggers: Sequence[Logger]) -> None:
    """Write projection.png and report.html, and log the projection and the examples."""
    points, method = project(np.concatenate([shown.paired.images, shown.paired.texts]), shown.seed)
    figure = _projection(points, method, shown.paired)
    save(figure, run_dir / PROJECTION_FILE)
    examples = _examples(shown, SlidePictures(cohort))
    report = PairsReport(
        title=f"pathsearch on {cohort.name}",
        facts=shown.facts,
        curves=shown.curves,
        projection=figure,
        projection_caption=f"{method} of {len(shown.texts)} test slides (dots) and their reports (crosses)",
        directions=shown.directions,
        examples=examples,
    )
    write_pairs_report(run_dir / REPORT_FILE, report)
    log_images(loggers, "projection", [run_dir / PROJECTION_FILE], [report.projection_caption])
    for number, example in enumerate(examples):
        pictures = [example.picture, *(hit.picture for hit in example.found)]
        captions = [example.text, *(f"{i}. {hit.label or hit.slide_id}" for i, hit in enumerate(example.found, 1))]
        log_images(loggers, f"text_to_slide/{number}", pictures, captions)


def _projection(points: Float32[np.ndarray, "point 2"], method: Method, paired: Paired) -> Figure:
    classes = [label or "unknown" for label in paired.labels]
    marks = ["o"] * len(classes) + ["x"] * len(classes)
    return projection_figure(points, 2 * classes, method, "slides (dots) and reports (crosses)", marks)


def _examples(shown: Shown, pictures: SlidePictures) -> list[TextExample]:
    """Reports drawn at random, no text twice."""
    order = np.random.default_rng(shown.seed).permutation(len(shown.texts)).tolist()
    first = {shown.texts[row]: row for row in reversed(order)}
    chosen = [row for row in order if first[shown.texts[row]] == row][:_N_EXAMPLES]
    return [_example(row, shown, pictures) for row in chosen]


def _example(row: int, shown: Shown, pictures: SlidePictures) -> TextExample:
    paired = shown.paired
    cosines = paired.images @ paired.texts[row]
    is_other = np.array(paired.patients, dtype=str) != paired.patients[row]
    nearest = [i for i in np.argsort(-cosines, kind="stable").tolist() if is_other[i]][:_N_FOUND]
    found = [
        FoundSlide(
            paired.slide_ids[i],
            paired.labels[i],
            paired.labels[i] == paired.labels[row] if paired.labels[i] and paired.labels[row] else None,
            float(cosines[i]),
            pictures.thumbnail(paired.slide_ids[i]),
        )
        for i in nearest
    ]
    own = paired.slide_ids[row]
    return TextExample(shown.texts[row], own, paired.labels[row], pictures.thumbnail(own), found)
