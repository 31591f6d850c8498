"""What `build_index.py` does: cohort, features, index folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from omegaconf import DictConfig

from src.data.files import write_json
from src.data.mosaic_preview import MOSAICS_FOLDER
from src.index.folder import MANIFEST_FILE
from src.runs.changed_index import refuse_build
from src.runs.job import Outcome
from src.runs.living_run import asks_for_change, change_index
from src.runs.loggers import log_artifact, log_config, log_metrics, open_loggers
from src.runs.mosaic_pictures import write_mosaic_pictures
from src.runs.prepare import Database, prepare_cohort, prepare_database, prepare_features

log = logging.getLogger(__name__)


def build_index(cfg: DictConfig) -> Outcome:
    """Build the index of a cohort, or say that it is there already, or change one; manifest and timing are logged."""
    if asks_for_change(cfg):
        database, n_failed = change_index(cfg)
        _log_index(cfg, database, {"change_s": round(database.build_seconds, 3)})
        return Outcome(n_failed_slides=n_failed)
    refuse_build(cfg.index_dir)
    cohort = prepare_cohort(cfg)
    features = prepare_features(cfg, cohort)
    database = prepare_database(cfg, cohort, features)
    timing = {"features_s": round(features.seconds, 3), "build_s": round(database.build_seconds, 3)}
    write_json(Path(cfg.paths.run_dir) / "timing.json", timing)
    _log_index(cfg, database, timing)
    if cfg.mosaic_previews:
        write_mosaic_pictures(Path(cfg.paths.run_dir) / MOSAICS_FOLDER, cohort, features.store, database.engine)
    log.info("search it: python search.py index_dir=%s query=IMAGE", database.folder)
    return Outcome(n_failed_slides=features.n_failed)


def _log_index(cfg: DictConfig, database: Database, timing: dict[str, float]) -> None:
    manifest = database.folder / MANIFEST_FILE
    sizes = {name: json.loads(manifest.read_text())[name] for name in ("n_rows", "n_slides", "index_size_bytes")}
    with open_loggers(cfg.logger) as loggers:
        log_config(loggers, cfg)
        log_metrics(loggers, {**sizes, **timing})
        log_artifact(loggers, f"{database.engine.name}-index", "index-manifest", manifest)
