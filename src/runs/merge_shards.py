"""What `build_index.py merge=DIR.shards` does: shards become the index that one build of the whole would have given."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from src.data.progress import tracked
from src.index.engine import RetrievalEngine
from src.index.folder import Provenance, read_manifest
from src.runs.prepare import Database
from src.runs.several_indexes import config_of
from src.runs.shard import all_shards, whole_key

log = logging.getLogger(__name__)


def merge_shards(cfg: DictConfig) -> Database:
    """Load one shard after the other into the first; they stay where they are."""
    started = time.perf_counter()
    first, *others = all_shards(Path(cfg.merge))
    built = config_of(cfg, str(first))
    engine = _loaded(built, first)
    for folder in tracked(others, "shards merged"):
        engine.join([_loaded(built, folder)])
    engine.save(Path(cfg.index_dir), _of_whole(first, others))
    log.info("index: %d shards merged to %s, %d rows", 1 + len(others), cfg.index_dir, len(engine.rows))
    return Database(engine, Path(cfg.index_dir), time.perf_counter() - started)


def _loaded(cfg: DictConfig, folder: Path) -> RetrievalEngine:
    engine: RetrievalEngine = instantiate(cfg.engine, _convert_="all")
    engine.load(folder)
    return engine


def _of_whole(first: Path, others: list[Path]) -> Provenance:
    manifest = read_manifest(first)
    build_s = sum(read_manifest(folder)["config"]["build_s"] for folder in (first, *others))
    config = {**manifest["config"], "key": whole_key(manifest), "build_s": build_s, "shard": None, "n_shards": None}
    return Provenance(manifest["encoder"], manifest["encoder_digest"], manifest["patching"], manifest["seed"], config)
