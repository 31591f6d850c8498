"""One query: an image or a slide becomes patches, codes and a ranking, shown by terminal and report.html."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from jaxtyping import Bool
from omegaconf import DictConfig

from src.data.encoding import encode_patches
from src.data.files import write_json, written_whole
from src.data.patching import Patches
from src.data.slide import PyramidSlide, open_slide
from src.errors import ConfigError, MppMissing
from src.interfaces import Rows, SlideFeatures
from src.runs.job import Outcome
from src.runs.query_report import show_answer
from src.runs.searchable import Searchable, open_searchable

log = logging.getLogger(__name__)

_BLACK = (0, 0, 0)


def answer_query(cfg: DictConfig) -> Outcome:
    """Search with one image or slide and show the hits."""
    run_dir = Path(cfg.paths.run_dir)
    slide = _open_query(cfg, run_dir)
    try:
        searchable, n_failed = open_searchable(cfg)
        started = time.perf_counter()
        patches, query = _encoded(slide, searchable)
        encoded = time.perf_counter()
        ranking = searchable.engine.search(query, cfg.k, _of_patient(cfg.query.patient, searchable.engine.rows))
        timing = {
            "encode_ms": round(1000 * (encoded - started), 1),
            "search_ms": round(1000 * (time.perf_counter() - encoded), 3),
        }
        write_json(run_dir / "timing.json", timing)
        show_answer(cfg, run_dir, slide, patches, ranking, searchable, timing)
    finally:
        slide.close()
    return Outcome(n_failed_slides=n_failed)


def _of_patient(patient_id: str | int | None, rows: Rows) -> Bool[np.ndarray, " row"] | None:
    """The rows that are left out."""
    if patient_id is None:
        return None
    if str(patient_id) not in rows.patient_ids:
        raise ConfigError(
            f"query.patient={patient_id} is not in the index; it has {', '.join(rows.patient_ids[:5])}, ..."
        )
    is_own = np.array([patient == str(patient_id) for patient in rows.patient_ids])
    return np.asarray(is_own[rows.slide_of_row])


def _open_query(cfg: DictConfig, run_dir: Path) -> PyramidSlide:
    path = Path(cfg.query.image)
    if not path.is_file():
        raise ConfigError(f"query.image={path}: there is no such file; give an image or a slide")
    try:
        slide = open_slide(path, path.stem, cfg.query.mpp, background=_BLACK)
    except MppMissing as error:
        raise MppMissing(
            f"query {path} does not state its microns per pixel; set query.mpp=0.5 or what it is"
        ) from error
    return _cut_out(slide, cfg.query.region, run_dir) if cfg.query.region else slide


def _cut_out(slide: PyramidSlide, region: Sequence[int], run_dir: Path) -> PyramidSlide:
    """The part of a slide that is searched with, kept as query.png in the run's folder."""
    if len(region) != 4 or min(region[2:]) < 1:
        raise ConfigError(f"query.region is {list(region)}; expected [x, y, width, height] in level-0 pixels")
    x, y, width, height = region
    if x < 0 or y < 0 or x + width > slide.width_px or y + height > slide.height_px:
        size = f"{slide.width_px} x {slide.height_px}"
        raise ConfigError(f"query.region {list(region)} leaves the query, which is {size} pixels at level 0")
    with written_whole(run_dir / "query.png") as temporary:
        PIL.Image.fromarray(slide.read(x, y, (width, height), slide.mpp)).save(temporary, format="png")
    slide.close()
    name = f"{slide.slide_id}@{x},{y}"
    return open_slide(run_dir / "query.png", name, slide.mpp, background=_BLACK)


def _encoded(slide: PyramidSlide, searchable: Searchable) -> tuple[Patches, SlideFeatures]:
    kind = searchable.manifest["config"]["cohort_kind"]
    patches = searchable.patching.for_query(kind, slide.is_pyramid).patches(slide)
    rows, features, colours = encode_patches(slide, patches, searchable.encoder)
    log.info("query: %s, %d patches", slide.slide_id, len(rows))
    coords = patches.coords[rows]
    return patches, SlideFeatures(slide.slide_id, coords, features, patches.size_level0, slide.mpp, colours)
