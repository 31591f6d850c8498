"""What one query shows: tables on the terminal and on disk, report.html, and the same on the loggers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from src.eval.report.query import QueryReport, write_query_report
from src.index.codes.of_texts import TextCode
from src.index.folder import MANIFEST_FILE
from src.interfaces import Image
from src.runs.loggers import log_artifact, log_config, log_images, log_metrics, log_table, open_loggers
from src.runs.query_answer import Answer
from src.runs.query_scales import Scale
from src.runs.query_tables import (
    CHANCE_COLUMNS,
    REPORT,
    cohorts_of,
    hits_table,
    labels_of,
    predictions_table,
    ranks_of,
    scales_table,
    with_reports,
    write_tables,
)
from src.runs.query_terminal import print_answer
from src.runs.query_views import hit_views, query_pictures, scale_views
from src.runs.searchable import Searchable

log = logging.getLogger(__name__)

COSINE = "1 − cosine"
_SHOWN_MANIFEST = ("histoseek_version", "n_rows", "n_slides", "index_size_bytes", "dim", "index_settings")


def show_answer(cfg: DictConfig, answer: Answer, searchable: Searchable) -> None:
    """Write the tables and report.html, print the hits, and log all of it.

    Args:
        cfg: the composed configuration.
        answer: to the query.
        searchable: what was searched.
    """
    run_dir = Path(cfg.paths.run_dir)
    ranks = ranks_of(answer)
    origins = cohorts_of(searchable.origins)
    labels = labels_of(searchable.cohort).drop(columns=list(origins), errors="ignore")
    labels = ranks.join(origins, how="outer").join(labels, how="outer")  # the page folds up what comes last
    hits = with_reports(hits_table(answer.shown.ranking, answer.shown.significance, labels), searchable)
    write_tables(run_dir, hits, answer)
    label = searchable.cohort.label if searchable.cohort else None
    print_answer(hits, answer, answer.asked, [name for name in (label, *origins, *ranks, REPORT) if name in hits])
    report = _report(hits, [str(label) for label in labels.columns], answer, searchable)
    write_query_report(run_dir / "report.html", report)
    log.info("report: %s", run_dir / "report.html")
    _log(cfg, hits, answer, report, searchable)


def _report(hits: pd.DataFrame, labels: Sequence[str], answer: Answer, searchable: Searchable) -> QueryReport:
    return QueryReport(
        title=f"{searchable.engine.name}: {answer.shown.query.slide_id}",
        query_image=answer.asked,
        query_pictures=query_pictures(answer),
        facts=_facts(answer.shown, searchable),
        hits=hit_views(hits, labels, answer, searchable),
        timing=answer.shown.timing,
        manifest={key: searchable.manifest[key] for key in _SHOWN_MANIFEST},
        distance_unit=_distance_unit(answer, searchable),
        scales=scale_views(answer),
        predictions=answer.predictions,
        has_attention=answer.attention is not None,
        is_text=not answer.shown.images,
    )


def _distance_unit(answer: Answer, searchable: Searchable) -> str:
    code = searchable.engine.code
    of_vectors = searchable.finds_reports or (isinstance(code, TextCode) and not answer.shown.images)
    return COSINE if of_vectors else searchable.engine.index.distance_unit


def _facts(scale: Scale, searchable: Searchable) -> dict[str, object]:
    engine, chance = searchable.engine, scale.significance
    facts: dict[str, object] = {
        "engine": engine.name,
        "encoder": searchable.encoder.name,
        "index": type(engine.index).__name__,
        "ranking": "reports by their cosine" if searchable.finds_reports else type(engine.ranking).__name__,
    }
    if scale.images:
        facts["patches"] = len(scale.query.coords)
        facts["mpp"] = ", ".join(sorted({f"{image.slide.mpp:.4g}" for image in scale.images}))
    if scale.halvings:
        facts["halvings"] = scale.halvings
    if chance is not None:
        facts["background"] = f"distance {chance.background_mean:.3g} ± {chance.background_std:.2g}"
    return facts


def _log(cfg: DictConfig, hits: pd.DataFrame, answer: Answer, report: QueryReport, searchable: Searchable) -> None:
    with open_loggers(cfg.logger) as loggers:
        log_config(loggers, cfg)
        log_metrics(loggers, {**answer.shown.timing, **_first_hit(hits), **_predicted(answer)})
        log_table(loggers, "hits", hits)
        log_table(loggers, "scales", scales_table(answer))
        log_table(loggers, "predictions", predictions_table(answer))
        log_images(loggers, "query", *_parted([(image.name, image.picture) for image in report.query_pictures]))
        log_images(loggers, "hit_patches", *_parted([(f"{h.rank}. {h.slide_id}", h.patch) for h in report.hits]))
        log_artifact(loggers, f"{searchable.engine.name}-index", "index-manifest", searchable.folder / MANIFEST_FILE)


def _first_hit(hits: pd.DataFrame) -> dict[str, float]:
    known = hits[["distance", *CHANCE_COLUMNS]].head(1).dropna(axis=1)
    return {f"first_hit/{name}": float(values.iloc[0]) for name, values in known.items() if len(values)}


def _predicted(answer: Answer) -> dict[str, float]:
    return {f"predicted/{target.name}": target.value for target in answer.predictions}


def _parted(pictures: Sequence[tuple[str, Image]]) -> tuple[list[Image], list[str]]:
    return [picture for _, picture in pictures], [name for name, _ in pictures]
