"""What `build_index.py add=`, `remove=` and `merge=` do: slides join or leave an index, or indexes become one.

The new index is written beside the old one and takes its place as a whole, so that a crash leaves the old one.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

from src.data.cohort import Cohort
from src.data.cohorts.table import table_cohort
from src.data.files import digest
from src.data.progress import progress_bar
from src.data.whole_folder import folder_lock
from src.errors import ConfigError, IndexMismatch
from src.index.engine import RetrievalEngine
from src.index.folder import ROWS_FILE, open_folder, read_manifest
from src.index.indexes.settling import settle
from src.index.rows_table import RowsTable
from src.interfaces import Rows
from src.runs.changed_index import changed
from src.runs.encoders import encoder_of
from src.runs.index_config import is_index, with_index_config
from src.runs.merge_shards import merge_shards
from src.runs.prepare import Database, Features, prepare_features
from src.runs.searchable import opened_as_one
from src.runs.several_indexes import with_first_config

log = logging.getLogger(__name__)

_TABLE = "src.data.cohorts.table.table_cohort"


def asks_for_change(cfg: DictConfig) -> bool:
    """Whether slides are to be added or removed.

    Raises:
        ConfigError: both at once, or without an index.
    """
    asked = [key for key in ("add", "remove", "remove_patient", "merge") if cfg[key] is not None]
    if not asked:
        return False
    if asked == ["merge"]:
        if cfg.index_dir is None or is_index(cfg.index_dir):
            raise ConfigError(f"merge= writes a new index, index_dir={cfg.index_dir} is none; choose a new folder")
        return True
    if len(asked) > 1 and asked != ["remove", "remove_patient"]:
        raise ConfigError(f"{asked[0]} and {asked[-1]} at once; say each in a command of its own")
    if not is_index(cfg.index_dir):
        raise ConfigError(f"{asked[0]}= changes an index, and index_dir={cfg.index_dir} holds none; build it first")
    return True


def change_index(cfg: DictConfig) -> tuple[Database, int]:
    """Add, remove or merge as the configuration says; with the number of slides that failed."""
    if cfg.merge is not None:
        return (merge_shards(cfg) if isinstance(cfg.merge, str) else _merge(cfg)), 0
    built = with_index_config(cfg)
    return _add(built) if cfg.add is not None else (_remove(built), 0)


def _add(cfg: DictConfig) -> tuple[Database, int]:
    folder = Path(cfg.index_dir)
    manifest = open_folder(folder).manifest
    cohort, data = _cohort_of(str(cfg.add), {"cohort": folder.name, **manifest["config"]})
    new = _without_indexed(cohort, folder)
    if new is None:
        log.info("index: %s has all %d slides of %s already", folder, len(cohort), cfg.add)
        return Database(_loaded(cfg), folder, 0.0), 0
    features = _features_of(cfg, new)
    started = time.perf_counter()
    with folder_lock(folder), progress_bar("index, added", len(features.store.slide_ids)) as step:
        engine, manifest = _loaded(cfg), read_manifest(folder)
        added = engine.add(features.store, on_slide=lambda _: step())
        engine.save(folder, changed(manifest, added=len(added), data=data))
    n_skipped = len(cohort) - len(new)
    log.info("index: %d slides added to %s, %d were there already", len(added), folder, n_skipped)
    return Database(engine, folder, time.perf_counter() - started), features.n_failed


def _remove(cfg: DictConfig) -> Database:
    folder = Path(cfg.index_dir)
    started = time.perf_counter()
    with folder_lock(folder):
        engine, manifest = _loaded(cfg), read_manifest(folder)
        slide_ids = _named(cfg, engine.rows)
        n_rows = len(engine.rows)
        engine.remove(slide_ids)
        engine.save(folder, changed(manifest, removed=len(slide_ids)))
        settle(engine.index)
    log.info("index: %d slides, %d rows removed from %s", len(slide_ids), n_rows - len(engine.rows), folder)
    log.info("their images, features and previews, and the table of the cohort, are as they were: delete these too")
    return Database(engine, folder, time.perf_counter() - started)


def _merge(cfg: DictConfig) -> Database:
    started = time.perf_counter()
    several = copy.deepcopy(cfg)
    several.index_dir = cfg.merge
    several = with_first_config(several)
    engine = opened_as_one(several).engine
    first, *others = [read_manifest(Path(folder)) for folder in several.index_dir]
    remembered = changed(first)
    for other in others:
        now = {**first, "config": remembered.config}
        remembered = changed(now, added=other["n_slides"], data=other["config"]["data"])
    engine.save(Path(cfg.index_dir), remembered)
    log.info("index: %d indexes merged to %s, %d rows", len(others) + 1, cfg.index_dir, len(engine.rows))
    return Database(engine, Path(cfg.index_dir), time.perf_counter() - started)


def _cohort_of(table: str, built: dict[str, Any]) -> tuple[Cohort, dict[str, Any]]:
    """The cohort of a table, named as that of the index, whose cached features it shares; and its configuration."""
    settings = {
        "table": str(Path(table).expanduser().absolute()),
        "kind": built["cohort_kind"],
        "name": built["cohort"],
        "default_mpp": built["data"].get("default_mpp"),
    }
    return table_cohort(**settings), {"_target_": _TABLE, **settings}


def _without_indexed(cohort: Cohort, folder: Path) -> Cohort | None:
    is_new = ~cohort.table["slide_id"].isin(RowsTable.read(folder / ROWS_FILE).rows.slide_ids)
    return replace(cohort, table=cohort.table[is_new]) if is_new.any() else None


def _features_of(cfg: DictConfig, cohort: Cohort) -> Features:
    """The features of new slides, made as those of the index were.

    Raises:
        IndexMismatch: by another encoder, or of other patches.
    """
    folder = Path(cfg.index_dir)
    opened, encoder = open_folder(folder), encoder_of(cfg)
    if opened.manifest["encoder_digest"]:
        opened.expect(encoder=encoder.name, encoder_digest=digest(encoder.fingerprint()))
    opened.expect(patching=instantiate(cfg.patching, _convert_="all").of(cohort.kind).fingerprint())
    features = prepare_features(cfg, cohort)
    if cfg.features_dir and features.store.encoder not in ("", opened.manifest["encoder"]):
        raise IndexMismatch(
            f"{cfg.features_dir}: features of {features.store.encoder}, {folder} holds those of "
            f"{opened.manifest['encoder']}; extract the slides with that encoder"
        )
    return features


def _loaded(cfg: DictConfig) -> RetrievalEngine:
    engine: RetrievalEngine = instantiate(cfg.engine, _convert_="all")
    engine.load(Path(cfg.index_dir))
    return engine


def _named(cfg: DictConfig, rows: Rows) -> list[str]:
    """The slides that are to be removed.

    Raises:
        ConfigError: a patient without slides in the index.
    """
    patients = _texts(cfg.remove_patient)
    unknown = [patient for patient in patients if patient not in rows.patient_ids]
    if unknown:
        known = ", ".join(rows.patient_ids[:5])
        raise ConfigError(f"remove_patient={unknown[0]}: the index has no such patient; it has {known}, ...")
    owned = zip(rows.slide_ids, rows.patient_ids, strict=True)
    return [*dict.fromkeys([*_texts(cfg.remove), *(slide for slide, patient in owned if patient in patients)])]


def _texts(value: str | int | ListConfig | None) -> Sequence[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, ListConfig) else [str(value)]
