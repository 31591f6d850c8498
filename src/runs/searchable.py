"""An index that can be searched: opened as it is, or made where it is missing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from hydra.utils import instantiate
from omegaconf import DictConfig

from src.data.cohort import Cohort
from src.data.files import digest
from src.data.patching import Patching
from src.errors import ConfigError, HistoseekError
from src.index.engine import RetrievalEngine
from src.index.folder import Provenance, Verify, read_manifest
from src.interfaces import Encoder, FeatureStore
from src.runs.encoders import encoder_of
from src.runs.index_config import is_index
from src.runs.kept_reports import REPORTS
from src.runs.prepare import (
    all_labels,
    find_features,
    prepare_cohort,
    prepare_database,
    prepare_features,
    refuse_unused_head,
)
from src.runs.several_indexes import (
    are_several,
    check_alike,
    config_of,
    joined_cohort,
    joined_manifest,
    names_of,
    origins_of,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Searchable:
    """Everything that a query needs: an engine with its database, and how the database was encoded.

    Attributes:
        cohort: None where it is not at hand.
        features: of the cohort; None where they are not at hand.
        finds_reports: what is answered is reports, and not slides.
        origins: the cohort of each slide, where several indexes are searched as one.
    """

    engine: RetrievalEngine
    folder: Path
    manifest: dict[str, Any]
    encoder: Encoder
    patching: Patching
    cohort: Cohort | None
    features: FeatureStore | None
    finds_reports: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)


def open_searchable(cfg: DictConfig) -> tuple[Searchable, int]:
    """The index of `index_dir` as it is, or several; or the one that is asked for, made where it is missing."""
    finds_reports = cfg.query.find == REPORTS
    if are_several(cfg.index_dir):
        return replace(opened_as_one(cfg), finds_reports=finds_reports), 0
    if is_index(cfg.index_dir):
        return replace(_opened(cfg), finds_reports=finds_reports), 0
    cohort = prepare_cohort(cfg)
    features = prepare_features(cfg, cohort)
    database = prepare_database(cfg, cohort, features)
    manifest = read_manifest(database.folder)
    made_of = features.encoder, features.patching, cohort, features.store
    return Searchable(database.engine, database.folder, manifest, *made_of, finds_reports), features.n_failed


def _opened(cfg: DictConfig) -> Searchable:
    folder = Path(cfg.index_dir)
    manifest = read_manifest(folder)
    encoder = encoder_of(cfg)
    engine: RetrievalEngine = instantiate(cfg.engine, _convert_="all")
    refuse_unused_head(cfg)
    is_signed = bool(manifest["encoder_digest"])
    if cfg.verify not in get_args(Verify):
        raise ConfigError(f"verify is {cfg.verify!r}, expected {' or '.join(get_args(Verify))}")
    engine.load(folder, Provenance(encoder.name, digest(encoder.fingerprint())) if is_signed else None, cfg.verify)
    log.info("index: %s, %d rows of %d slides", folder, len(engine.rows), len(engine.rows.slide_ids))
    patching: Patching = instantiate(cfg.patching, _convert_="all")
    cohort = _cohort_if_at_hand(cfg)
    features = None
    if cohort is not None:
        engine.use_labels(all_labels(cohort))
        features = find_features(cfg, cohort, encoder, patching)
    return Searchable(engine, folder, manifest, encoder, patching, cohort, features)


def opened_as_one(cfg: DictConfig) -> Searchable:
    """The indexes that `index_dir` lists."""
    return _joined([_opened(config_of(cfg, folder)) for folder in cfg.index_dir])


def _joined(parts: Sequence[Searchable]) -> Searchable:
    """Several indexes as one; features stay where they are, so that hits have no heat maps."""
    folders, manifests = [part.folder for part in parts], [part.manifest for part in parts]
    check_alike(folders, manifests)
    names = names_of(folders, manifests)
    origins = origins_of(names, [part.engine.rows for part in parts])
    first, *others = parts
    cohorts = {name: part.cohort for name, part in zip(names, parts, strict=True)}
    cohort = joined_cohort(cohorts, first.cohort.label if first.cohort else None)
    first.engine.join([part.engine for part in others])
    if cohort is not None:
        first.engine.use_labels(all_labels(cohort))
    log.info("%d indexes as one: %d rows of %d slides", len(parts), len(first.engine.rows), len(origins))
    manifest = joined_manifest(manifests)
    return replace(first, manifest=manifest, cohort=cohort, features=None, origins=origins)


def _cohort_if_at_hand(cfg: DictConfig) -> Cohort | None:
    try:
        return prepare_cohort(cfg)
    except HistoseekError as error:
        log.warning("hits have no pictures and labels, as their cohort is not at hand: %s", error)
        return None
