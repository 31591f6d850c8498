"""How an encoder sees a cohort as one HTML file: its features projected, and what makes a hit similar to its query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from src.data.files import write_text
from src.eval.report.page import render
from src.interfaces import Image


@dataclass(frozen=True)
class DescriptorReport:
    """All that the page shows.

    Attributes:
        facts: of the run.
        projection: the figure.
        projection_caption: what it shows.
        pair: of query and hit; empty without them.
        cam: the figure; None where the encoder has no nodes to look at.
        cam_caption: what it shows.
    """

    title: str
    facts: Mapping[str, object]
    projection: Image
    projection_caption: str
    pair: Mapping[str, object]
    cam: Image | None
    cam_caption: str


def write_descriptor_report(path: Path, report: DescriptorReport) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render("descriptor.html", report=report))
