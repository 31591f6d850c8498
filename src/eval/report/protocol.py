"""One engine under one protocol as one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from src.data.files import write_text
from src.eval import figures
from src.eval.protocols import Unlabelled
from src.eval.report.agreement import first_hit_confusion, label_hits, mean_precision_at_rank
from src.eval.report.figure_view import FigureView
from src.eval.report.gallery import choose_examples
from src.eval.report.page import render
from src.eval.summary import CHANCE
from src.interfaces import Image

_DEEPEST_RANK = 20
_N_HEADLINES = 4
_COMPARED_WITH_CHANCE = ("top1", "precision@1")


@dataclass(frozen=True)
class ProtocolReport:
    """All that the page shows.

    Attributes:
        facts: engine, encoder, index, cohort, protocol, ...
        metrics: the metrics of `metrics.json`: name to value, macro, ci95, n_queries, n_short, per_class; chance is
            shown beside top-1.
        rankings: rows of `rankings.parquet`.
        per_query: one row per judged query, columns `query_id` and `label`.
        labels: label by slide_id; missing or blank is unlabelled.
        thumbnail: a slide's picture by its slide_id.
        dropped: reason to number of queries or slides left out.
        timing: step to time, a unit at the end of each name.
        config: the run's configuration, as text.
        links: what is linked to the name of a file in the run's folder.
        headlines: metrics of the per-class table; the first four when empty.
        more_figures: further figures by their captions.
        unlabelled: as in the protocol: what becomes of hits without a label.
        answer_of: hit_id to what counts once, where hits were aggregated.
        seed: of the choice of examples.

    Raises:
        ValueError: a link leads out of the run's folder, or a headline is no metric.
    """

    title: str
    facts: Mapping[str, object]
    metrics: Mapping[str, Mapping[str, Any]]
    rankings: pd.DataFrame
    per_query: pd.DataFrame
    labels: pd.Series
    thumbnail: Callable[[str], Image]
    dropped: Mapping[str, int]
    timing: Mapping[str, object]
    config: str
    links: Mapping[str, str]
    headlines: Sequence[str] = ()
    more_figures: Mapping[str, Figure] = field(default_factory=dict)
    unlabelled: Unlabelled = "drop"
    answer_of: Mapping[str, str] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.links.values():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or ":" in name:
                raise ValueError(f"{self.title}: link {name!r} leads out of the run's folder; give a name inside it")
        unknown = sorted(set(self.headlines) - set(self.metrics))
        if unknown:
            raise ValueError(f"{self.title}: no metric {unknown}; the headlines can be {list(self.metrics)}")


def write_protocol_report(path: Path, report: ProtocolReport) -> None:
    """Write the page, whole or not at all."""
    judged = report.labels, report.per_query["query_id"], report.unlabelled, report.answer_of
    hits = label_hits(report.rankings, *judged)
    metrics = {name: summary for name, summary in report.metrics.items() if name != CHANCE}
    chance = report.metrics.get(CHANCE, {}).get("value")
    shown = _figures(hits, len(report.per_query), chance, report)
    html = render(
        "protocol.html",
        report=report,
        metrics=metrics,
        headlines=list(report.headlines or metrics)[:_N_HEADLINES],
        chance_of=dict.fromkeys(_COMPARED_WITH_CHANCE, chance),
        class_sizes=report.per_query["label"].value_counts().sort_index().to_dict(),
        figures=[FigureView.of(f"figure{place}", *drawn) for place, drawn in enumerate(shown.items())],
        examples=choose_examples(hits, report.thumbnail, report.seed),
    )
    write_text(path, html)


def _figures(hits: pd.DataFrame, n_queries: int, chance: float | None, report: ProtocolReport) -> dict[str, Figure]:
    """By their captions: the figures of the hits, unless there are none, and those that the report brings."""
    if hits.empty:
        return dict(report.more_figures)
    deepest = min(_DEEPEST_RANK, int(hits["rank"].max()) + 1)
    precision = {"precision": mean_precision_at_rank(hits, n_queries, deepest)}
    return {
        "Precision of the first k hits": figures.precision_at_rank(precision, chance),
        "Class of the query and of its first hit": figures.confusion_matrix(*first_hit_confusion(hits)),
        **report.more_figures,
    }
