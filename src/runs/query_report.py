"""What one query shows: a table on the terminal, hits.parquet, report.html, and the hits on the loggers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from src.data.cohort import Cohort
from src.data.files import written_whole
from src.data.patching import Patches
from src.data.slide import PyramidSlide
from src.eval.report.pictures import context_picture, grid_picture, patch_picture, place_picture
from src.eval.report.query import MAX_PICTURED, HitView, QueryReport, write_query_report
from src.index.folder import MANIFEST_FILE
from src.interfaces import Hit, Image, Ranking
from src.runs.loggers import log_artifact, log_config, log_images, log_metrics, open_loggers
from src.runs.searchable import Searchable
from src.runs.slide_pictures import SlidePictures

log = logging.getLogger(__name__)

_QUERY_PICTURE_PX = 640
_SHOWN_MANIFEST = ("histoseek_version", "n_rows", "n_slides", "index_size_bytes", "dim", "index_settings")


def show_answer(
    cfg: DictConfig,
    run_dir: Path,
    slide: PyramidSlide,
    patches: Patches,
    ranking: Ranking,
    searchable: Searchable,
    timing: dict[str, float],
) -> None:
    """Write hits.parquet and report.html, print the table, and log the hits.

    Args:
        cfg: the composed configuration.
        run_dir: where the files go.
        slide: the query.
        patches: its patches.
        ranking: the answer.
        searchable: what was searched.
        timing: step to time, ms.
    """
    labels = _labels(searchable.cohort)
    _write_hits(run_dir / "hits.parquet", ranking, labels)
    _print_hits(cfg, ranking, searchable)
    views = [_view(rank, hit, labels, searchable) for rank, hit in enumerate(ranking.hits[:MAX_PICTURED], start=1)]
    report = QueryReport(
        title=f"{searchable.engine.name}: {slide.slide_id}",
        query_image=str(cfg.query.image),
        query_picture=_query_picture(slide, patches),
        facts={
            "engine": searchable.engine.name,
            "encoder": searchable.encoder.name,
            "index": type(searchable.engine.index).__name__,
            "ranking": type(searchable.engine.ranking).__name__,
            "patches": len(patches.coords),
            "mpp": f"{slide.mpp:.4g}",
        },
        hits=views,
        timing=timing,
        manifest={name: searchable.manifest[name] for name in _SHOWN_MANIFEST},
        distance_unit=searchable.engine.index.distance_unit,
    )
    write_query_report(run_dir / "report.html", report)
    log.info("report: %s", run_dir / "report.html")
    _log(cfg, run_dir, views, searchable, timing)


def _labels(cohort: Cohort | None) -> pd.DataFrame:
    """Label columns by slide_id."""
    if cohort is None:
        return pd.DataFrame()
    return cohort.table.set_index("slide_id")[cohort.label_columns]


def _labels_of(slide_id: str, labels: pd.DataFrame) -> dict[str, str]:
    if slide_id not in labels.index:
        return {}
    return {str(name): str(value) for name, value in labels.loc[slide_id].dropna().items()}


def _write_hits(path: Path, ranking: Ranking, labels: pd.DataFrame) -> None:
    records = [
        {"rank": rank, **asdict(hit), **_labels_of(hit.slide_id, labels)} for rank, hit in enumerate(ranking.hits)
    ]
    with written_whole(path) as temporary:
        pd.DataFrame(records).to_parquet(temporary, index=False)


def _print_hits(cfg: DictConfig, ranking: Ranking, searchable: Searchable) -> None:
    table = Table(title=f"{len(ranking)} hits for {cfg.query.image}", title_justify="left")
    label = searchable.cohort.label if searchable.cohort else None
    for heading in ("rank", "slide", "patient", *([label] if label else []), "x", "y", "distance", "score"):
        table.add_column(heading, justify="left" if heading in ("slide", "patient", label) else "right")
    values = searchable.cohort.labels(label).to_dict() if searchable.cohort and label else {}
    for rank, hit in enumerate(ranking, start=1):
        shown = [str(values.get(hit.slide_id, ""))] if label else []
        place = (str(hit.x), str(hit.y), f"{hit.distance:.4g}", f"{hit.score:.4g}")
        table.add_row(str(rank), hit.slide_id, hit.patient_id, *shown, *place)
    Console().print(table)


def _view(rank: int, hit: Hit, labels: pd.DataFrame, searchable: Searchable) -> HitView:
    size = searchable.engine.patch_size_of(hit.slide_id)
    with SlidePictures(searchable.cohort).opened(hit.slide_id) as slide:
        return HitView(
            rank=rank,
            slide_id=hit.slide_id,
            patient_id=hit.patient_id,
            x=hit.x,
            y=hit.y,
            distance=hit.distance,
            score=hit.score,
            labels=_labels_of(hit.slide_id, labels),
            patch=patch_picture(slide, hit.x, hit.y, size),
            context=context_picture(slide, hit.x, hit.y, size),
            slide=place_picture(slide, np.array([[hit.x, hit.y, *size]])),
        )


def _query_picture(slide: PyramidSlide, patches: Patches) -> Image:
    downsample = max(1.0, max(slide.width_px, slide.height_px) / _QUERY_PICTURE_PX)
    image = slide.overview(downsample)
    boxes = np.hstack([patches.coords, np.tile(patches.size_level0, (len(patches.coords), 1))])
    return grid_picture(image, boxes, slide.width_px / image.shape[1])


def _log(
    cfg: DictConfig, run_dir: Path, views: Sequence[HitView], searchable: Searchable, timing: dict[str, float]
) -> None:
    with open_loggers(cfg.logger) as loggers:
        log_config(loggers, cfg)
        log_metrics(loggers, timing)
        log_images(loggers, "hits", [view.patch for view in views], [f"{view.rank}. {view.slide_id}" for view in views])
        log_artifact(loggers, f"{searchable.engine.name}-index", "index-manifest", searchable.folder / MANIFEST_FILE)
