"""Several indexes of one kind, each over a part of the rows: their answers are merged, nothing is lost in between."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Bool

from src.data.files import write_json
from src.errors import ConfigError
from src.index.indexes.checks import check_positive, check_search
from src.index.indexes.merged_search import merged_search
from src.index.indexes.removal import remove_rows
from src.interfaces import Codes, Index, Neighbours


class Shards:
    """The `k` nearest rows of all shards; equal distances go to the smaller row.

    A shard is fitted, filled and closed before the next one begins; all are fitted on the same sample.

    Args:
        base: an empty index; every shard is a copy of it.
        rows_per_shard: rows after which a new shard begins.
    """

    def __init__(self, base: Index, rows_per_shard: int) -> None:
        check_positive("shards", rows_per_shard=rows_per_shard)
        self.accepts = base.accepts
        self.distance_unit = base.distance_unit
        self.base = base
        self.rows_per_shard = rows_per_shard
        self._sample: Codes | None = None
        self._shards: list[Index] = []

    def train(self, sample: Codes) -> None:
        """Keep the sample and fit the first shard on it."""
        self._sample = sample
        self._begin_shard()

    def add(self, codes: Codes) -> None:
        """Append codes to the last shard, and to new ones where it is full.

        Raises:
            HistoseekError: what the base refuses, or an index that is not trained.
        """
        if not self._shards:
            raise ConfigError("index shards is not trained; train it before adding codes")
        if len(self._shards[-1]) == self.rows_per_shard:
            self._begin_shard()
        n_free = self.rows_per_shard - len(self._shards[-1])
        self._shards[-1].add(codes.take(slice(n_free)))
        if len(codes) > n_free:
            self.add(codes.take(slice(n_free, None)))

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query."""
        check_search(k, len(self), excluded, "shards")
        return merged_search(self._shards, queries, k, excluded)

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out of each shard; the others move up. The sample, which may hold such rows, is forgotten."""
        self._sample = None
        ends = np.cumsum([len(shard) for shard in self._shards])
        for shard, is_removed_here in zip(self._shards, np.split(is_removed, ends[:-1]), strict=True):
            if is_removed_here.any():
                remove_rows(shard, is_removed_here)
        self._shards = [shard for shard in self._shards if len(shard)] or self._shards[:1]

    def save(self, path: Path) -> None:
        """Write each shard's files, and how many there are."""
        for number, shard in enumerate(self._shards):
            shard.save(_path_of(path, number))
        write_json(path, {"n_shards": len(self._shards)})

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        n_shards = json.loads(path.read_text(encoding="utf-8"))["n_shards"]
        self._shards = [copy.deepcopy(self.base) for _ in range(n_shards)]
        for number, shard in enumerate(self._shards):
            shard.load(_path_of(path, number))

    def describe(self) -> dict[str, Any]:
        """What each shard became."""
        return {"shards": [{"n_rows": len(shard), **shard.describe()} for shard in self._shards]}

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def _begin_shard(self) -> None:
        shard = copy.deepcopy(self.base)
        if self._sample is not None:
            shard.train(self._sample)
        else:
            _take_fit(shard, min(self._shards, key=len))
        self._shards.append(shard)


def _take_fit(shard: Index, fitted: Index) -> None:
    """Make a new shard what another was before it was filled, where the sample is not at hand any more."""
    with TemporaryDirectory() as folder:
        fitted.save(Path(folder) / "index.faiss")
        shard.load(Path(folder) / "index.faiss")
    remove_rows(shard, np.ones(len(shard), dtype=bool))


def _path_of(path: Path, number: int) -> Path:
    """`index.0.faiss` beside `index.faiss`."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}")
