"""The index that meets a stated target: exact where that is cheap, else tuned on queries drawn from the database.

The rows are kept in a temporary file until all have come. Where exact search is too large or too slow, an inverted file
of the largest code that the target allows is built and reranked, and the settings of its search are measured against
exact search. What was measured is logged, and kept with the index.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from src.data.files import write_json
from src.errors import ConfigError
from src.index.indexes.checks import check_positive, check_search, checked
from src.index.indexes.flat import Flat
from src.index.indexes.ivf import Ivf, lists_for, next_power_of_two
from src.index.indexes.removal import remove_rows
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File
from src.index.indexes.spool import Spool
from src.index.indexes.tuning import Point, best, frontier, held_out, measured
from src.interfaces import CodeKind, Codes, Index, Neighbours

_log = logging.getLogger(__name__)

EXACT = "exact"
_CHOICE = ".auto"
_LINKS = 32
_BYTES_PER_ID = 8
_BYTES_OF_FACTORS = 8  # of RaBitQ
_BLOCK = 32  # rows that a fast scan takes at once
_VECTORS_PER_LIST = 39
_FEWEST_TRAINING = 20_000
_NPROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_CANDIDATES_PER_NEIGHBOUR = (5, 10, 20, 40, 80)
_CHUNK = 50_000


@dataclass(frozen=True)
class Targets:
    """What is asked for; None where it does not matter.

    Attributes:
        recall: share of the exact `k` nearest that are found, at least.
        bytes_per_vector: of the index in memory, at most.
        latency_ms: median of a query alone, at most, on the machine that builds.
    """

    recall: float | None
    bytes_per_vector: float | None
    latency_ms: float | None


class Auto:
    """Exact search, or a reranked inverted file, by the number of rows and the targets.

    Args:
        recall: see `Targets`.
        bytes_per_vector: see `Targets`.
        latency_ms: see `Targets`.
        k: neighbours that recall counts.
        exact_up_to: rows up to which exact search is chosen, where it meets the targets.
        n_queries: rows of the database that are searched for, each left out of its own answer.
        seed: of their draw, and of the training rows'.
    """

    accepts: CodeKind = "float"
    distance_unit = "squared Euclidean"

    def __init__(
        self,
        recall: float | None,
        bytes_per_vector: float | None,
        latency_ms: float | None,
        k: int,
        exact_up_to: int,
        n_queries: int,
        seed: int,
    ) -> None:
        check_positive("auto", k=k, n_queries=n_queries)
        if recall is not None and not 0 < recall <= 1:
            raise ConfigError(f"index auto: recall is {recall}, expected above 0 and at most 1")
        self.targets = Targets(recall, bytes_per_vector, latency_ms)
        self.k = k
        self.exact_up_to = exact_up_to
        self.n_queries = n_queries
        self.seed = seed
        self._spool = Spool("float32")
        self._index: Index | None = None
        self._choice: dict[str, Any] = {}

    def train(self, sample: Codes) -> None:
        """Nothing is fitted before all rows are there; the sample is only checked."""
        checked(sample, self.accepts, None, "auto")

    def add(self, codes: Codes) -> None:
        """Append codes; once the index has been chosen, to that."""
        if self._index is not None:
            self._index.add(codes)
        else:
            dim = self._spool.rows.shape[1] if len(self._spool) else None
            self._spool.append(checked(codes, self.accepts, dim, "auto"))

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up. The choice stays, as what was measured for it does."""
        if self._index is not None:
            remove_rows(self._index, is_removed)
        else:
            self._spool.remove(is_removed)

    def finish(self) -> None:
        """Choose, build and tune.

        Raises:
            ConfigError: targets that cannot be met, with what can be.
        """
        if self._index is not None or not len(self._spool):
            return
        rows, tried = self._spool.rows, []
        for code in self._options(*rows.shape):
            index = _filled(code, rows, self.seed)
            points = self._measured(index, rows)
            tried += points
            point = best(points, self.targets.recall, self.targets.latency_ms)
            if point is not None:
                self._choose(index, code, point, points)
                return
        raise self._refusal(tried)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query, as the chosen index finds them."""
        check_search(k, len(self), excluded, "auto")
        return self._ready().search(queries, k, excluded)

    def save(self, path: Path) -> None:
        """Write the chosen index, and beside it the choice."""
        self._ready().save(path)
        write_json(path.with_suffix(_CHOICE), self._choice)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        self._choice = json.loads(path.with_suffix(_CHOICE).read_text(encoding="utf-8"))
        self._index = _empty(self._choice["code"], 1)
        self._index.load(path)
        _set(self._index, self._choice["chosen"]["nprobe"], self._choice["chosen"]["n_candidates"])

    def describe(self) -> dict[str, Any]:
        """The choice, what was measured for it, and what the chosen index became."""
        return {"index": self._ready().describe(), **self._choice}

    def __len__(self) -> int:
        return len(self._spool) if self._index is None else len(self._index)

    def _ready(self) -> Index:
        self.finish()
        assert self._index is not None
        return self._index

    def _options(self, n_rows: int, dim: int) -> list[str]:
        """Exact search where it is cheap, then the largest code that is small enough."""
        most_bytes = self.targets.bytes_per_vector or np.inf
        sizes = _bytes_of(n_rows, dim)
        fitting = [code for code, n_bytes in sizes.items() if n_bytes <= most_bytes]
        if not fitting:
            raise ConfigError(
                f"index auto: bytes_per_vector is {most_bytes:g}, but {n_rows} rows of {dim} values take at least "
                f"{min(sizes.values()):.1f} each; ask for so many, or for codes of fewer dimensions"
            )
        is_few = n_rows <= max(self.exact_up_to, 2 * _VECTORS_PER_LIST)
        inverted = [code for code in fitting if code != EXACT][:1]
        return [EXACT, *inverted] if EXACT in fitting and (is_few or not inverted) else inverted

    def _measured(self, index: Index, rows: Float32[np.ndarray, "row dim"]) -> list[Point]:
        if len(rows) < 2:
            return [Point(0, 0, 1.0, 0.0)]
        asked = held_out(rows, self.n_queries, self.k, self.seed)
        if not isinstance(index, Rerank):
            return [measured(index, asked)]
        points = []
        for nprobe, factor in product(_NPROBES, _CANDIDATES_PER_NEIGHBOUR):
            _set(index, nprobe, factor * self.k)
            points.append(measured(index, asked, nprobe, factor * self.k))
        return points

    def _choose(self, index: Index, code: str, point: Point, points: list[Point]) -> None:
        self._index = index
        _set(index, point.nprobe, point.n_candidates)
        curve = [asdict(each) for each in frontier(points)]
        n_bytes = round(_bytes_of(len(index), self._spool.rows.shape[1])[code], 1)
        self._choice = {"code": code, "bytes_per_vector": n_bytes, "chosen": asdict(point)}
        self._choice |= {"targets": asdict(self.targets), "curve": curve}
        _log.info("index auto: %s of %d rows, chosen of:\n%s", code, len(index), _table(points, point))
        self._spool = Spool("float32")

    def _refusal(self, points: list[Point]) -> ConfigError:
        wanted = ", ".join(f"{name}={value:g}" for name, value in asdict(self.targets).items() if value is not None)
        can = "; ".join(map(_gives, frontier(points)))
        return ConfigError(f"index auto: {wanted} cannot be met here; choose what can be: {can}")


def _bytes_of(n_rows: int, dim: int) -> dict[str, float]:
    """What each option keeps of a row in memory, with its share of the lists and the rotation; largest first."""
    nlist = lists_for(n_rows, n_rows)
    rotated_dim = next_power_of_two(dim)
    per_list = (4 * rotated_dim + 8 * _LINKS) / n_rows  # the centroid and its links
    n_parts = max(1, rotated_dim // 4)
    code_bytes = {
        "RaBitQfs": dim / 8 + _BYTES_OF_FACTORS + 4 * dim * dim / n_rows,
        f"PQ{n_parts}x4fs": n_parts / 2,
        f"PQ{max(1, n_parts // 2)}x4fs": n_parts / 4,
    }
    n_kept = 1 + _BLOCK / 2 * nlist / n_rows  # a list is filled up to whole blocks
    sizes = {code: n_bytes * n_kept + _BYTES_PER_ID + nlist * per_list for code, n_bytes in code_bytes.items()}
    return {EXACT: 4.0 * dim} | dict(sorted(sizes.items(), key=lambda size: -size[1]))


def _filled(code: str, rows: Float32[np.ndarray, "row dim"], seed: int) -> Index:
    nlist = lists_for(len(rows), len(rows))
    index = _empty(code, nlist)
    n_training = min(len(rows), max(_FEWEST_TRAINING, _VECTORS_PER_LIST * nlist))
    drawn = np.sort(np.random.default_rng(seed).choice(len(rows), n_training, replace=False))
    index.train(Codes(rows[drawn]))
    for start in range(0, len(rows), _CHUNK):
        index.add(Codes(np.array(rows[start : start + _CHUNK])))
    return index


def _empty(code: str, nlist: int) -> Index:
    if code == EXACT:
        return Flat("l2")
    rotation = "random" if code.startswith("RaBitQ") else "hadamard"
    ivf = Ivf(code, rotation, nlist, nprobe=1, M=_LINKS, efSearch=64, efConstruction=40)
    return Rerank(ivf, 1, Float16File())


def _set(index: Index, nprobe: int, n_candidates: int) -> None:
    if isinstance(index, Rerank) and isinstance(index.base, Ivf):
        index.base.nprobe, index.n_candidates = nprobe, n_candidates


def _table(points: list[Point], chosen: Point) -> str:
    lines = [
        f"  nprobe {each.nprobe:3d}, {each.n_candidates:4d} candidates: {_gives(each)}" for each in frontier(points)
    ]
    return "\n".join([*lines, f"  {_gives(chosen)} is chosen"])


def _gives(point: Point) -> str:
    return f"recall {point.recall:.3f} in {point.latency_ms:.3f} ms"
