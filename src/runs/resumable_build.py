"""A build that can be killed: what is done so far is kept beside the index, and the next run goes on from there."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from src.data.progress import progress_bar
from src.index.engine import RetrievalEngine
from src.index.folder import MANIFEST_FILE, Provenance, read_manifest
from src.index.indexes.finishing import Finishing
from src.interfaces import FeatureStore, FittedRanker

log = logging.getLogger(__name__)


def build_resumably(
    engine: RetrievalEngine,
    store: FeatureStore,
    folder: Path,
    key: str,
    slides_per_checkpoint: int,
    part: Sequence[str] | None = None,
) -> None:
    """Build an index from the start, or from where a killed build with the same key has come to.

    The index is the one that an undisturbed build gives. No checkpoints where ranking or index sees all codes.

    Args:
        engine: without slides; fitted, or it is fitted to the store.
        store: of the cohort.
        folder: where the finished index will go; checkpoints stand beside it until `forget_checkpoint`.
        key: names everything that shapes the index.
        slides_per_checkpoint: slides after which what is done is written.
        part: of the store's slides, those that are added; all of them by default.
    """
    slide_ids = list(store.slide_ids if part is None else part)
    is_at_once = isinstance(engine.ranking, FittedRanker) or isinstance(engine.index, Finishing)
    size = len(slide_ids) if is_at_once else slides_per_checkpoint
    with progress_bar(f"index, {engine.name}", len(slide_ids)) as step:
        done = _resumed(engine, folder, key)
        for _ in range(done):
            step()
        for start in range(done, len(slide_ids), size):
            add = engine.add if engine.is_fitted else engine.build
            add(store, lambda _: step(), slide_ids[start : start + size])
            if start + size < len(slide_ids):
                engine.save(_checkpoint(folder), Provenance(config={"key": key, "n_done": start + size}))


def forget_checkpoint(folder: Path) -> None:
    """Remove what is kept of an unfinished build, once the index is written."""
    checkpoint = _checkpoint(folder)
    if checkpoint.exists():
        shutil.rmtree(checkpoint)
        checkpoint.with_name(f".{checkpoint.name}.lock").unlink(missing_ok=True)


def _resumed(engine: RetrievalEngine, folder: Path, key: str) -> int:
    """How many slides an unfinished build with this key has looked at, which the engine then holds."""
    checkpoint = _checkpoint(folder)
    if not (checkpoint / MANIFEST_FILE).exists():
        return 0
    config = read_manifest(checkpoint)["config"]
    if config["key"] != key:
        return 0
    engine.load(checkpoint)
    log.info("index: a build that was killed goes on after %d slides", config["n_done"])
    return int(config["n_done"])


def _checkpoint(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.unfinished")
