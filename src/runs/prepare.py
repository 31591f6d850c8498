"""Cohort, features, index: what is missing is made, what exists is reused, and the log says which."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.data.cohort import Cohort
from src.data.extraction import Extraction, SlideStatus, write_status_table
from src.data.feature_folder import FeatureFolder, open_feature_folder
from src.data.files import digest
from src.data.patching import GridPatcher, Patcher, Patching
from src.data.progress import tracked
from src.data.timed_encoder import TimedEncoder
from src.errors import FeatureFileError, IncompatibleParts
from src.index.codes.learned import weights_digest
from src.index.engine import RetrievalEngine
from src.index.folder import Provenance
from src.index.rankers.fitted import fitted_settings
from src.index.slide_predictions import predicts
from src.interfaces import Encoder
from src.runs.auto_code import with_trained_code
from src.runs.changed_index import changes_of, only_indexed, refuse_build
from src.runs.encoder_cost import kept_ms_per_patch
from src.runs.encoders import encoder_of, train_key_encoder
from src.runs.kept_reports import reports_to_keep
from src.runs.plain import plain
from src.runs.resumable_build import build_resumably, forget_checkpoint
from src.runs.shard import asked_shard
from src.runs.sole_builder import built_with, sole_builder

log = logging.getLogger(__name__)

# What decides which rows an index has; evaluation and loggers of a run do not, nor does a ranking but a fitted one.
_SHAPES_INDEX = ("mosaic", "code", "index", "seed")
_SHAPES_NO_ROW = ("checkpoint", "query", "training")  # of a code: what gives its weights, which count, and its queries
_SCALE_TOLERANCE = 0.1
_PATHS = (
    *("data.root", "data.table", "reports.table", "features_dir"),
    *("encoder.checkpoint", "key_encoder.checkpoint", "head.checkpoint", "code.checkpoint"),
)


@dataclass(frozen=True)
class Features:
    """The features of a cohort, ready to be read.

    Attributes:
        encoder: what made them; for given feature files, what queries are encoded with.
        statuses: one per slide of the cohort.
        seconds: spent on opening and extracting.
        encode_ms_per_patch: what the encoder took when they were extracted; None for given feature files.
    """

    store: FeatureFolder
    encoder: Encoder
    patching: Patching
    statuses: Sequence[SlideStatus]
    seconds: float
    encode_ms_per_patch: float | None = None

    @property
    def n_failed(self) -> int:
        """Slides that should have features and have none."""
        return sum(status.is_failure for status in self.statuses)


@dataclass(frozen=True)
class Database:
    """An engine that holds a cohort, and the folder that it was written to or read from.

    Attributes:
        build_seconds: as it took when it was built, also when the index was reused.
    """

    engine: RetrievalEngine
    folder: Path
    build_seconds: float


def prepare_cohort(cfg: DictConfig) -> Cohort:
    """The cohort of `data=`; where slides were added to or removed from the index, those that it has."""
    cohort: Cohort = instantiate(cfg.data, _convert_="all")
    cohort = only_indexed(cohort, OmegaConf.select(cfg, "index_dir"))
    n_patients = cohort.table["patient_id"].nunique()
    log.info("cohort %s: %d %s of %d patients", cohort.name, len(cohort.table), cohort.kind, n_patients)
    return cohort


def prepare_features(cfg: DictConfig, cohort: Cohort) -> Features:
    """Open the features of a cohort, extracting what is missing."""
    started = time.perf_counter()
    patching: Patching = instantiate(cfg.patching, _convert_="all")
    train_key_encoder(cfg, cohort, patching.of(cohort.kind))
    encoder = encoder_of(cfg)
    encode_ms_per_patch = None
    if cfg.features_dir:
        folder = Path(cfg.features_dir)
        store, statuses = _given(open_feature_folder(folder, cohort), cohort)
        write_status_table(Path(cfg.paths.run_dir) / "status.csv", statuses)
        _report(statuses, Path(cfg.paths.run_dir))
    else:
        _warn_of_other_scale(encoder, patching.of(cohort.kind))
        timed = TimedEncoder(encoder)
        extraction = _extraction(cfg, cohort, timed, patching)
        folder, statuses = extraction.folder, extraction.run()
        encode_ms_per_patch = kept_ms_per_patch(folder, timed)
        _report(statuses, folder)
        store = open_feature_folder(folder, cohort)
    log.info("features: %d of %d slides, %d dimensions, %s", len(store.slide_ids), len(cohort.table), store.dim, folder)
    return Features(store, encoder, patching, statuses, time.perf_counter() - started, encode_ms_per_patch)


def find_features(cfg: DictConfig, cohort: Cohort, encoder: Encoder, patching: Patching) -> FeatureFolder | None:
    """The features of a cohort that exist already; None where there are none."""
    folder = Path(cfg.features_dir or _extraction(cfg, cohort, encoder, patching).folder)
    try:
        return open_feature_folder(folder, cohort)
    except FeatureFileError:
        return None


def prepare_database(cfg: DictConfig, cohort: Cohort, features: Features) -> Database:
    """Load the index that these features and parts give, or build and save it."""
    cfg = with_trained_code(cfg, features.store, Path(cfg.paths.cache_dir) / cohort.name / "weights")
    engine: RetrievalEngine = instantiate(cfg.engine, _convert_="all")
    refuse_unused_head(cfg)
    texts = reports_to_keep(cfg, cohort, engine.code)
    key = _index_key(cfg, features, engine, texts)
    folder = Path(cfg.index_dir or Path(cfg.paths.cache_dir) / cohort.name / "index" / f"{cfg.engine.name}-{key}")
    if not cfg.index_dir:
        refuse_build(folder)  # one of the cache, changed by its path
    shard = asked_shard(cfg, key)
    if shard is not None:
        folder, key = shard.folder, shard.key
    with sole_builder(folder, key):
        built = built_with(folder)
        if built.get("key") == key or changes_of(folder):
            engine.load(folder)
            seconds = float(built.get("build_s", 0))
            log.info("index: reused %s, %d rows of %d slides", folder, len(engine.rows), len(engine.rows.slide_ids))
        else:
            started = time.perf_counter()
            part = None if shard is None else shard.begin(engine, features.store)
            build_resumably(engine, features.store, folder, key, cfg.slides_per_checkpoint, part)
            if len(texts):
                engine.keep_reports(texts)
            seconds = time.perf_counter() - started
            engine.save(folder, _provenance(cfg, cohort, features, key, seconds))
            forget_checkpoint(folder)
            log.info("index: built %s, %d rows in %.1f s", folder, len(engine.rows), seconds)
    engine.use_labels(all_labels(cohort))
    return Database(engine, folder, seconds)


def all_labels(cohort: Cohort) -> dict[str, pd.Series]:
    """Every label column, by slide_id."""
    return {column: cohort.labels(column) for column in cohort.label_columns}


def refuse_unused_head(cfg: DictConfig) -> None:
    """Raise IncompatibleParts when a head is given to an engine whose code has no use for it."""
    head = OmegaConf.select(cfg, "head.checkpoint")
    if head and head != OmegaConf.select(cfg, "code.checkpoint"):
        code = cfg.code._target_.rpartition(".")[2]
        raise IncompatibleParts(f"code {code} does not search with a head; leave out head.checkpoint, or say code=here")


def _given(store: FeatureFolder, cohort: Cohort) -> tuple[FeatureFolder, list[SlideStatus]]:
    """The slides whose given file can be used, and the status of every slide."""
    statuses = []
    for record in tracked(list(cohort.records()), "features, given"):
        try:
            slide = store.load(record.slide_id)
            store.check_encoder(record.slide_id)
            size = slide.patch_size_level0[0]
            status = SlideStatus(record.slide_id, "ok", "", len(slide.features), 0, size, slide.mpp, is_reused=True)
        except FeatureFileError as error:
            status = SlideStatus(record.slide_id, "failed", str(error))
            log.warning("failed %s", error)
        statuses.append(status)
    usable = {status.slide_id: store.records[status.slide_id] for status in statuses if not status.is_failure}
    return replace(store, records=usable), statuses


def _extraction(cfg: DictConfig, cohort: Cohort, encoder: Encoder, patching: Patching) -> Extraction:
    return Extraction(
        cohort=cohort,
        encoder=encoder,
        patcher=patching.of(cohort.kind),
        root=Path(cfg.paths.cache_dir) / cohort.name,
        corrupt_tiles=cfg.corrupt_tiles,
        dtype=cfg.feature_dtype,
        previews=cfg.previews,
    )


def _warn_of_other_scale(encoder: Encoder, patcher: Patcher) -> None:
    if (
        isinstance(patcher, GridPatcher)
        and not patcher.official_level0
        and abs(np.log(patcher.mpp / encoder.mpp)) > _SCALE_TOLERANCE
    ):
        log.warning(
            "encoder %s was trained at %g um per pixel, the patches have %g; set the mpp of patching",
            encoder.name,
            encoder.mpp,
            patcher.mpp,
        )


def _report(statuses: Sequence[SlideStatus], folder: Path) -> None:
    n_reused = sum(status.is_reused for status in statuses)
    n_failed = sum(status.is_failure for status in statuses)
    log.info("features: %d made, %d reused, %d failed", len(statuses) - n_reused - n_failed, n_reused, n_failed)
    if n_failed:
        log.error("%d of %d slides failed; why: %s", n_failed, len(statuses), folder / "status.csv")


def _index_key(cfg: DictConfig, features: Features, engine: RetrievalEngine, texts: pd.Series) -> str:
    config = plain(cfg)  # resolved, because an index remembers values, not where they came from
    parts = {name: config[name] for name in _SHAPES_INDEX}
    shaped_by = {
        **parts,
        "code": {name: value for name, value in parts["code"].items() if name not in _SHAPES_NO_ROW},
        "weights": weights_digest(engine.code),
        "ranking_fitted": fitted_settings(engine.ranking),
        "predicts": predicts(engine.code) or None,
        "reports": digest({"texts": texts.to_dict()}) if len(texts) else None,
        "training_sample": config["engine"]["training_sample"],
        "background": config["engine"].get("background"),
        "features": features.store.digest(),
    }
    return digest({name: value for name, value in shaped_by.items() if value is not None})


def _provenance(cfg: DictConfig, cohort: Cohort, features: Features, key: str, build_s: float) -> Provenance:
    return Provenance(
        encoder=features.encoder.name,
        # Who made given feature files is not known, so it is not claimed.
        encoder_digest="" if cfg.features_dir else digest(features.encoder.fingerprint()),
        patching=features.patching.of(cohort.kind).fingerprint(),
        seed=cfg.seed,
        config={
            "key": key,
            "build_s": round(build_s, 3),
            "cohort": cohort.name,
            "cohort_kind": cohort.kind,
            "choices": _choices(),
            **_remembered(cfg),
        },
    )


def _choices() -> dict[str, Any]:
    """Which option of each group was chosen."""
    return {str(group): option for group, option in HydraConfig.get().runtime.choices.items() if "hydra" not in group}


def _remembered(cfg: DictConfig) -> dict[str, Any]:
    """The configuration with absolute paths, so that the index can be searched from another folder."""
    absolute = copy.deepcopy(cfg)
    for key in _PATHS:
        value = OmegaConf.select(absolute, key)
        if value:
            OmegaConf.update(absolute, key, str(Path(value).absolute()))
    return {name: value for name, value in plain(absolute).items() if name not in ("paths", "logger", "figures")}
