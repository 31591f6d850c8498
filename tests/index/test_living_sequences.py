"""Any sequence of changes leaves an index that answers as if what has left had never come."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from src.errors import IncompatibleParts
from src.index.engine import RetrievalEngine
from src.index.folder import open_folder
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw import Hnsw
from src.index.indexes.ivf import Ivf
from src.index.indexes.joined import Joined, joined_index
from src.index.indexes.removal import remove_rows
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File, Sq8InMemory
from src.index.indexes.shards import Shards
from src.interfaces import Codes, Index, Neighbours, joined
from tests.index.databases import MemoryStore, random_database
from tests.index.test_every_engine import query_of
from tests.index.test_every_index import codes_for
from tests.index.test_living import living_engine
from tests.index.test_removal import SMALL, assert_same, empty, every_kind, rounding, trained

MOST_NEW = 25
K = 12
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "reload", "merge"]), st.integers(0, 2**16)), min_size=2, max_size=5
)
# Always the same ones: a vector that is quantised in another batch may be rounded otherwise, once in a long while.
few_sequences = settings(deadline=None, max_examples=5, derandomize=True, phases=[Phase.generate])
sequences = given(steps=STEPS)


class Living:
    """An index, what it holds, and another one from which nothing was ever removed.

    Args:
        name: of an index, for `trained`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.index, self.keeps_all = trained(name), trained(name)
        self.codes = codes_for(self.index, 0, 40)
        self.is_gone = np.zeros(len(self.codes), dtype=bool)
        self.index.add(self.codes)
        self.keeps_all.add(self.codes)

    def step(self, kind: str, seed: int) -> None:
        """One change; what cannot be merged is added."""
        if kind == "remove":
            self._remove(seed)
        elif kind == "reload":
            self._reload()
        else:
            self._take(codes_for(self.index, seed + 10, 1 + seed % MOST_NEW), kind == "merge")

    def left(self) -> Codes:
        """What the index should hold."""
        return self.codes.take(np.flatnonzero(~self.is_gone))

    def _remove(self, seed: int) -> None:
        rows = np.flatnonzero(~self.is_gone)
        is_removed = np.random.default_rng(seed).random(len(rows)) < 0.4
        is_removed[seed % len(rows)] = False
        remove_rows(self.index, is_removed)
        self.is_gone[rows[is_removed]] = True

    def _reload(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.index.save(Path(folder) / "index.faiss")
            self.index = empty(self.name)
            self.index.load(Path(folder) / "index.faiss")

    def _take(self, new: Codes, is_merged: bool) -> None:
        self.keeps_all.add(new)
        one = self._merged(new) if is_merged else None
        if one is None:
            self.index.add(new)
        else:
            self.index = one
        self.codes = joined([self.codes, new])
        self.is_gone = np.append(self.is_gone, np.zeros(len(new), dtype=bool))

    def _merged(self, new: Codes) -> Index | None:
        other = trained(self.name)
        other.add(new)
        try:
            one = joined_index([self.index, other])
        except IncompatibleParts:
            return None
        return None if isinstance(one, Joined) else one


def exact_distances(index: Index, queries: Codes, codes: Codes) -> np.ndarray:
    a, b = queries.values[:, None], codes.values[None]
    if index.accepts == "binary":
        distances = np.unpackbits(a ^ b, axis=-1).sum(axis=-1)
    else:
        distances = 1 - (a * b).sum(axis=-1) if index.distance_unit == "1 - cosine" else ((a - b) ** 2).sum(axis=-1)
    return np.asarray(distances, np.float32)


def is_exhaustive(index: Index) -> bool:
    """Whether what it states are the distances of all rows, in indexes that are this small."""
    if isinstance(index, Rerank) and isinstance(index.store, Sq8InMemory):
        return False  # its ends are those of the sample
    return index.accepts == "binary" or index.distance_unit in ("1 - cosine", "squared Euclidean")


@every_kind
@few_sequences
@sequences
def test_an_index_answers_as_if_what_left_had_never_come(name: str, steps: list[tuple[str, int]]) -> None:
    living = Living(name)
    for step in steps:
        living.step(*step)
    index, left, queries = living.index, living.left(), codes_for(living.index, 3, 6)
    assert len(index) == len(left)
    found = index.search(queries, K)
    before = living.keeps_all.search(queries, K, living.is_gone)
    new_rows = np.append(np.cumsum(~living.is_gone) - 1, -1)
    assert_same(found, Neighbours(before.distances, new_rows[before.rows]), rounding(name))
    direct = trained(name)
    direct.add(left)
    np.testing.assert_allclose(found.distances, direct.search(queries, K).distances, atol=1e-5)
    if is_exhaustive(index):
        exact = np.sort(exact_distances(index, queries, left), axis=1)[:, :K]
        np.testing.assert_allclose(found.distances[:, : exact.shape[1]], exact, atol=0.02)


ENGINES: dict[str, Callable[[], Index]] = {
    "flat": lambda: Flat("cosine"),
    "blocks": lambda: Ivf("PQ8x4fs", "none", 3, 3, 8, 16, 40),
    "graph": lambda: Hnsw("SQ8", 16, 256, 100),
    "shards": lambda: Shards(Rerank(SMALL["rabitq_blocks"](), 300, Float16File()), 20),
}


@pytest.mark.parametrize("kind", list(ENGINES))
@few_sequences
@sequences
def test_an_engine_answers_as_if_what_left_had_never_come(kind: str, steps: list[tuple[str, int]]) -> None:
    slides = list(random_database(0, [9, 12, 7, 10, 8, 11, 9, 5, 6, 1, 14, 3]).slides)
    engine, keeps_all = living_engine(ENGINES[kind]()), living_engine(ENGINES[kind]())
    for each in (engine, keeps_all):
        each.build(MemoryStore(slides[:5]))
    coming, gone = slides[5:], set[str]()
    with tempfile.TemporaryDirectory() as folder:
        for step, seed in steps:
            if step == "remove":
                names = engine.rows.slide_ids
                removed = set(np.random.default_rng(seed).choice(names, len(names) // 2, replace=False).tolist())
                engine.remove(removed)
                gone |= removed
            elif step == "reload":
                engine.save(Path(folder) / "index")
                engine = living_engine(ENGINES[kind]())
                engine.load(Path(folder) / "index")
            elif coming:
                new, coming = coming[:2], coming[2:]
                _take(engine, MemoryStore(new), is_joined=step == "merge" and kind == "flat")
                keeps_all.add(MemoryStore(new))
            _assert_consistent(engine, keeps_all, gone)
        engine.save(Path(folder) / "index")
        opened = open_folder(Path(folder) / "index")
    assert opened.manifest["n_rows"] == len(opened.table.rows) == len(engine.index)
    assert opened.table.rows.slide_ids == engine.rows.slide_ids
    assert opened.manifest["n_slides"] == len(engine.rows.slide_ids)
    is_gone = np.isin(np.array(keeps_all.rows.slide_ids), list(gone))[keeps_all.rows.slide_of_row]
    found, expected = engine.search(query_of(1), 5), keeps_all.search(query_of(1), 5, is_gone)
    assert [(hit.slide_id, hit.x) for hit in found] == [(hit.slide_id, hit.x) for hit in expected]
    assert [hit.distance for hit in found] == pytest.approx([hit.distance for hit in expected], abs=1e-6)


def _take(engine: RetrievalEngine, new: MemoryStore, is_joined: bool) -> None:
    if is_joined:
        other = living_engine()
        other.build(new)
        engine.join([other])
    else:
        engine.add(new)


def _assert_consistent(engine: RetrievalEngine, keeps_all: RetrievalEngine, gone: set[str]) -> None:
    """Index, rows and background are of the slides that are there, in the order in which they came."""
    left = tuple(slide_id for slide_id in keeps_all.rows.slide_ids if slide_id not in gone)
    assert engine.rows.slide_ids == left
    is_left = ~np.isin(np.array(keeps_all.rows.slide_ids), list(gone))[keeps_all.rows.slide_of_row]
    np.testing.assert_array_equal(engine.rows.xy, keeps_all.rows.xy[is_left])
    assert len(engine.index) == len(engine.rows) == is_left.sum()
    if engine.records.background is not None and engine.records.background.slides is not None:
        assert not set(engine.records.background.slides.tolist()) & {slide_id.encode() for slide_id in gone}
