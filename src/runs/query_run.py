"""One query: an image or a slide becomes patches, codes and a ranking, shown by terminal and report.html."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from src.data.cohort import Cohort
from src.data.extraction import encode_patches
from src.data.files import digest, write_json, written_whole
from src.data.patching import Patches, Patching
from src.data.slide import PyramidSlide, open_slide
from src.errors import ConfigError, HistoseekError, MppMissing
from src.eval.report.pictures import context_picture, grid_picture, patch_picture, place_picture
from src.eval.report.query import MAX_PICTURED, HitView, QueryReport, write_query_report
from src.index.engine import RetrievalEngine
from src.index.folder import MANIFEST_FILE, Provenance, read_manifest
from src.interfaces import Encoder, Hit, Image, Ranking, SlideFeatures
from src.runs.index_config import is_index
from src.runs.job import Outcome
from src.runs.loggers import log_artifact, log_config, log_images, log_metrics, open_loggers
from src.runs.prepare import prepare_cohort, prepare_database, prepare_features
from src.runs.slide_pictures import SlidePictures

log = logging.getLogger(__name__)

_BLACK = (0, 0, 0)
_QUERY_PICTURE_PX = 640
_SHOWN_MANIFEST = ("histoseek_version", "n_rows", "n_slides", "index_size_bytes", "dim", "index_settings")


@dataclass(frozen=True)
class Searchable:
    """Everything that a query needs: an engine with its database, and how the database was encoded."""

    engine: RetrievalEngine
    folder: Path
    manifest: dict[str, Any]
    encoder: Encoder
    patching: Patching
    cohort: Cohort | None


def answer_query(cfg: DictConfig) -> Outcome:
    """Search with one image or slide and show the hits."""
    searchable, n_failed = _searchable(cfg)
    run_dir = Path(cfg.paths.run_dir)
    slide = _open_query(cfg, run_dir)
    try:
        started = time.perf_counter()
        patches, query = _encoded(slide, searchable)
        encoded = time.perf_counter()
        ranking = searchable.engine.search(query, cfg.k)
        timing = {
            "encode_ms": round(1000 * (encoded - started), 1),
            "search_ms": round(1000 * (time.perf_counter() - encoded), 3),
        }
        write_json(run_dir / "timing.json", timing)
        _show(cfg, run_dir, slide, patches, ranking, searchable, timing)
    finally:
        slide.close()
    return Outcome(n_failed_slides=n_failed)


def _searchable(cfg: DictConfig) -> tuple[Searchable, int]:
    """The index of `index_dir` as it is, or the one that the configuration asks for, made where it is missing."""
    if is_index(cfg.index_dir):
        return _opened(cfg), 0
    cohort = prepare_cohort(cfg)
    features = prepare_features(cfg, cohort)
    database = prepare_database(cfg, cohort, features)
    manifest = read_manifest(database.folder)
    searchable = Searchable(database.engine, database.folder, manifest, features.encoder, features.patching, cohort)
    return searchable, features.n_failed


def _opened(cfg: DictConfig) -> Searchable:
    folder = Path(cfg.index_dir)
    manifest = read_manifest(folder)
    encoder: Encoder = instantiate(cfg.encoder, _convert_="all")
    engine: RetrievalEngine = instantiate(cfg.engine, _convert_="all")
    is_signed = bool(manifest["encoder_digest"])
    engine.load(folder, Provenance(encoder.name, digest(encoder.fingerprint())) if is_signed else None)
    log.info("index: %s, %d rows of %d slides", folder, len(engine.rows), len(engine.rows.slide_ids))
    patching: Patching = instantiate(cfg.patching, _convert_="all")
    return Searchable(engine, folder, manifest, encoder, patching, _cohort_if_at_hand(cfg))


def _cohort_if_at_hand(cfg: DictConfig) -> Cohort | None:
    try:
        return prepare_cohort(cfg)
    except HistoseekError as error:
        log.warning("hits have no pictures and labels, as their cohort is not at hand: %s", error)
        return None


def _open_query(cfg: DictConfig, run_dir: Path) -> PyramidSlide:
    path = Path(cfg.query)
    try:
        slide = open_slide(path, path.stem, cfg.query_mpp, background=_BLACK)
    except MppMissing as error:
        raise MppMissing(
            f"query {path} does not state its microns per pixel; set query_mpp=0.5 or what it is"
        ) from error
    return _cut_out(slide, cfg.query_region, run_dir) if cfg.query_region else slide


def _cut_out(slide: PyramidSlide, region: Sequence[int], run_dir: Path) -> PyramidSlide:
    """The part of a slide that is searched with, kept as query.png in the run's folder."""
    if len(region) != 4 or min(region[2:]) < 1:
        raise ConfigError(f"query_region is {list(region)}; expected [x, y, width, height] in level-0 pixels")
    x, y, width, height = region
    if x < 0 or y < 0 or x + width > slide.width_px or y + height > slide.height_px:
        size = f"{slide.width_px} x {slide.height_px}"
        raise ConfigError(f"query_region {list(region)} leaves the query, which is {size} pixels at level 0")
    with written_whole(run_dir / "query.png") as temporary:
        PIL.Image.fromarray(slide.read(x, y, (width, height), slide.mpp)).save(temporary, format="png")
    slide.close()
    name = f"{slide.slide_id}@{x},{y}"
    return open_slide(run_dir / "query.png", name, slide.mpp, background=_BLACK)


def _encoded(slide: PyramidSlide, searchable: Searchable) -> tuple[Patches, SlideFeatures]:
    kind = searchable.manifest["config"]["cohort_kind"]
    patches = searchable.patching.for_query(kind, slide.is_pyramid).patches(slide)
    rows, features = encode_patches(slide, patches, searchable.encoder)
    log.info("query: %s, %d patches", slide.slide_id, len(rows))
    return patches, SlideFeatures(slide.slide_id, patches.coords[rows], features, patches.size_level0, slide.mpp)


def _show(
    cfg: DictConfig,
    run_dir: Path,
    slide: PyramidSlide,
    patches: Patches,
    ranking: Ranking,
    searchable: Searchable,
    timing: dict[str, float],
) -> None:
    labels = _labels(searchable.cohort)
    _write_hits(run_dir / "hits.parquet", ranking, labels)
    _print_hits(cfg, ranking, searchable)
    views = [_view(rank, hit, labels, searchable) for rank, hit in enumerate(ranking.hits[:MAX_PICTURED], start=1)]
    report = QueryReport(
        title=f"{searchable.engine.name}: {slide.slide_id}",
        query_image=str(cfg.query),
        query_picture=_query_picture(slide, patches),
        facts={
            "engine": searchable.engine.name,
            "encoder": searchable.encoder.name,
            "patches": len(patches.coords),
            "mpp": f"{slide.mpp:.4g} ({slide.mpp_source})",
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
    return cohort.table.set_index("slide_id").drop(columns=["path", "patient_id", "mpp"], errors="ignore")


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
    table = Table(title=f"{len(ranking)} hits for {cfg.query}", title_justify="left")
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
