"""Shards: parts of a cohort that are indexed by a command each, on any machine, and merged to the index of the whole.

All of them are fitted once, by whichever comes first, so that merging them gives the index that one build would give.
Beside `DIR`, the index that is wanted, `DIR.shards` holds `fitted`, an index without slides, then `0-of-4`, `1-of-4`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from src.data.whole_folder import folder_lock
from src.errors import ConfigError
from src.index.engine import RetrievalEngine
from src.index.folder import MANIFEST_FILE, Provenance, read_manifest
from src.index.indexes.joined import can_be_merged
from src.index.part_name import part_name
from src.interfaces import FeatureStore
from src.runs.sole_builder import built_with

log = logging.getLogger(__name__)

_FITTED = "fitted"


@dataclass(frozen=True)
class Shard:
    """One of several.

    Attributes:
        number: from 0.
        of: how many there are.
        whole: folder of the index that they become together.
        key_of_whole: names everything that shapes that index.
    """

    number: int
    of: int
    whole: Path
    key_of_whole: str

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ConfigError(f"shard={self.number} n_shards={self.of}: expected 0 to {self.of - 1}")

    @property
    def folder(self) -> Path:
        """Where it is written."""
        return shards_folder(self.whole) / f"{self.number}-of-{self.of}"

    @property
    def key(self) -> str:
        """Names everything that shapes it."""
        return f"{self.key_of_whole} {self.number}-of-{self.of}"

    def begin(self, engine: RetrievalEngine, store: FeatureStore) -> Sequence[str]:
        """Fit an engine to the whole cohort, as the other shards are; and say which slides are its part.

        Raises:
            ConfigError: fewer slides than shards, or an index of which parts cannot be merged.
        """
        if len(store.slide_ids) < self.of:
            raise ConfigError(
                f"n_shards is {self.of}, the cohort has {len(store.slide_ids)} slides; choose fewer shards"
            )
        self._fit(engine, store)
        parts = np.array_split(np.arange(len(store.slide_ids)), self.of)
        return [store.slide_ids[place] for place in parts[self.number]]

    def _fit(self, engine: RetrievalEngine, store: FeatureStore) -> None:
        """Others wait meanwhile, and take up what was fitted."""
        folder = shards_folder(self.whole) / _FITTED
        with folder_lock(folder):
            if built_with(folder).get("key") == self.key_of_whole:
                engine.load(folder)
                log.info("shard %d of %d: fitted by another shard, %s", self.number, self.of, folder)
                return
            engine.fit(store)
            if not can_be_merged(engine.index):
                raise ConfigError(
                    f"index {part_name(engine.index)} cannot be merged from shards; choose an inverted file, such as "
                    "index=ivf_pq_fastscan or rerank, or an exact index, or search shards as one: index_dir=[A,B]"
                )
            engine.save(folder, Provenance(config={"key": self.key_of_whole}))


def asked_shard(cfg: DictConfig, key: str) -> Shard | None:
    """The one that `shard=` and `n_shards=` name of the index with this key; None without them.

    Raises:
        ConfigError: one without the other, or without `index_dir`.
    """
    number, of = (OmegaConf.select(cfg, key) for key in ("shard", "n_shards"))
    if number is None and of is None:
        return None
    if number is None or of is None or cfg.index_dir is None:
        raise ConfigError(
            f"shard={number} n_shards={of} index_dir={cfg.index_dir}: expected all three, as in -m 'shard=range(4)' "
            "n_shards=4 index_dir=DIR"
        )
    return Shard(int(number), int(of), Path(cfg.index_dir), key)


def shards_folder(whole: Path) -> Path:
    """Where the shards of an index are kept until they are merged."""
    return whole.with_name(f"{whole.name}.shards")


def all_shards(folder: Path) -> list[Path]:
    """The folders of all shards, in their order.

    Raises:
        ConfigError: none, one that is missing, or shards of different builds.
    """
    found = {path.name: path for path in folder.glob("*-of-*") if (path / MANIFEST_FILE).exists()}
    if not found:
        raise ConfigError(f"merge={folder}: holds no shards; build them first: -m 'shard=range(4)' n_shards=4")
    counts = sorted({name.partition("-of-")[2] for name in found})
    wanted = [f"{number}-of-{counts[0]}" for number in range(int(counts[0]))]
    missing = [name for name in wanted if name not in found]
    if len(counts) > 1 or missing:
        raise ConfigError(
            f"merge={folder}: has {', '.join(sorted(found))}, expected {', '.join(wanted)}; build the missing ones, "
            "or remove those of another build"
        )
    keys = {whole_key(read_manifest(found[name])) for name in wanted}
    if len(keys) > 1:
        raise ConfigError(f"merge={folder}: its shards are of different builds; build them all again")
    return [found[name] for name in wanted]


def whole_key(manifest: Mapping[str, Any]) -> str:
    """The key that the merged index will have."""
    return str(manifest["config"]["key"]).partition(" ")[0]
