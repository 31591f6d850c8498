"""What a reader study found, as tables, figures and one HTML page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from src.data.files import write_json, write_text, written_whole
from src.eval import figures
from src.eval.reader_study.scores import agreement, comparisons, shares, unblind
from src.eval.reader_study.sheets import Sheet
from src.eval.reader_study.study import Study
from src.eval.report.page import inline_svg, render


@dataclass(frozen=True)
class Results:
    """Un-blinded scores and what follows from them; columns as in `src.eval.reader_study.scores`.

    Attributes:
        gaps: what readers did not score, one line each.
    """

    title: str
    study: Study
    readers: tuple[str, ...]
    scores: pd.DataFrame
    shares: pd.DataFrame
    comparisons: pd.DataFrame
    agreement: pd.DataFrame
    gaps: tuple[str, ...]

    @property
    def n_left_out(self) -> int:
        """Scores that do not count, because a reader is missing; one per item and aspect."""
        return int(self.scores["score"].isna().sum())

    @property
    def facts(self) -> dict[str, Any]:
        """What was scored, by whom."""
        return {
            "study": self.study.name,
            "cohort": self.study.facts.get("cohort"),
            "readers": ", ".join(self.readers),
            "one score per": "answer" if self.study.rated == "answers" else "hit",
            "queries": self.scores["query_id"].nunique(),
            "scores": len(self.scores) - self.n_left_out,
            "left out, not scored by all": self.n_left_out,
        }


def evaluate(study: Study, sheets: Sequence[Sheet], reference: str | None = None) -> Results:
    """Un-blind the sheets and compare the methods.

    Args:
        study: what was scored.
        sheets: one per reader, without faults.
        reference: compare this method with each other one; by default all pairs are compared.

    Raises:
        ConfigError: two sheets have one reader, or there is no such method.
    """
    scores = unblind(study.items, sheets)
    readers = tuple(sheet.reader for sheet in sheets)
    return Results(
        title=f"Reader study {study.name}",
        study=study,
        readers=readers,
        scores=scores,
        shares=shares(scores),
        comparisons=comparisons(scores, reference),
        agreement=agreement(scores, readers),
        gaps=tuple(gap for sheet in sheets for gap in sheet.gaps),
    )


def write_results(folder: Path, results: Results) -> None:
    """Write scores.csv (one row per item and aspect), results.json, a box plot per aspect and report.html."""
    with written_whole(folder / "scores.csv") as temporary:
        results.scores.to_csv(temporary, index=False)
    tables = {name: _records(getattr(results, name)) for name in ("shares", "comparisons", "agreement")}
    write_json(folder / "results.json", {"facts": results.facts, **tables, "gaps": list(results.gaps)})
    boxes = score_boxes(results.scores)
    for aspect, figure in boxes.items():
        figures.save(figure, folder / ("boxes-" + re.sub(r"[^\w-]+", "_", aspect) + ".png"))
    svgs = [inline_svg(figure, f"boxes{place}", aspect) for place, (aspect, figure) in enumerate(boxes.items())]
    write_text(folder / "report.html", render("reader_results.html", report=results, tables=tables, figures=svgs))


def score_boxes(scores: pd.DataFrame) -> dict[str, Figure]:
    """Aspect to the box plot of the methods' scores."""
    scored = scores.dropna(subset="score")
    return {
        str(aspect): figures.boxes_per_engine(
            str(aspect),
            {str(method): rows["score"].to_numpy(np.float64) for method, rows in group.groupby("method")},
        )
        for aspect, group in scored.groupby("aspect", sort=False)
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): None if pd.isna(v) else v for k, v in row.items()} for row in table.to_dict("records")]
