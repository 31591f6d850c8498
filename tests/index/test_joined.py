from __future__ import annotations

import numpy as np
import pytest

from src.errors import ConfigError, IncompatibleParts
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.indexes.itq_lsh import ItqLsh
from src.index.indexes.joined import Joined, joined_index
from src.interfaces import Codes
from tests.index.databases import MemoryStore, random_database
from tests.index.test_every_engine import DIM, LABELS, built, every_engine, query_of
from tests.index.test_living import SIZES, is_exact, living_engine


@every_engine
def test_two_exact_indexes_answer_as_one_over_both(name: str) -> None:
    slides = list(random_database(5, SIZES, DIM).slides)
    engine, other = built(name, MemoryStore(slides[:3])), built(name, MemoryStore(slides[3:]))
    if not is_exact(engine.index):
        pytest.skip("fitted to the slides that it has")
    one = built(name, MemoryStore(slides))
    engine.join([other])
    engine.use_labels(LABELS)
    assert engine.rows.slide_ids == one.rows.slide_ids
    for k in (1, 5):
        assert engine.search(query_of(5), k) == one.search(query_of(5), k)
    is_excluded = np.isin(one.rows.slide_of_row, [1, 4])
    assert engine.search(query_of(5), 5, is_excluded) == one.search(query_of(5), 5, is_excluded)


@pytest.mark.parametrize("n_bits", [0, 64])
@pytest.mark.parametrize("k", [1, 7, 40])
def test_merged_answers_are_those_of_one_index(n_bits: int, k: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3, (40, 8))  # many ties
    codes = Codes(values.astype(np.uint8 if n_bits else np.float32), n_bits)
    index, *parts = [BinaryFlat() if n_bits else Flat("l2") for _ in range(4)]
    for part, rows in zip(parts, np.split(np.arange(40), [5, 28]), strict=True):
        part.add(codes.take(rows))
    index.add(codes)
    queries, excluded = codes.take(slice(6)), rng.random(40) < 0.3
    merged = Joined(parts)
    for mask in (None, excluded):
        found, expected = merged.search(queries, k, mask), index.search(queries, k, mask)
        width = expected.rows.shape[1]
        np.testing.assert_array_equal(found.distances[:, :width], expected.distances)
        np.testing.assert_array_equal(found.rows[:, :width], expected.rows)


def test_approximate_indexes_are_merged_by_distance() -> None:
    vectors = np.random.default_rng(0).normal(size=(120, 16)).astype(np.float32)
    parts = [HnswIvfPq(8, 4, 2, 4, 2, 16, 40) for _ in range(2)]
    for part, rows in zip(parts, (slice(70), slice(70, None)), strict=True):
        part.train(Codes(vectors[rows]))
        part.add(Codes(vectors[rows]))
    merged = joined_index(parts)
    found = merged.search(Codes(vectors[:5]), 6)
    each = [part.search(Codes(vectors[:5]), 6) for part in parts]
    expected = np.sort(np.concatenate([part.distances for part in each], axis=1), axis=1)[:, :6]
    np.testing.assert_array_equal(found.distances, expected)
    assert set(found.rows.ravel()) <= {*each[0].rows.ravel(), *(each[1].rows + 70).ravel()}
    with pytest.raises(ConfigError, match="cannot be changed or written"):
        merged.add(Codes(vectors))


def test_indexes_that_learn_their_bits_are_not_compared() -> None:
    vectors = Codes(np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32))
    parts = [ItqLsh(8), ItqLsh(8)]
    for part, sample in zip(parts, (vectors, vectors.take(slice(25))), strict=True):
        part.train(sample)
        part.add(vectors)
    with pytest.raises(IncompatibleParts, match="learns its bits anew from every cohort"):
        joined_index(parts)


def test_backgrounds_are_joined() -> None:
    slides = list(random_database(0, SIZES).slides)
    engine, other = living_engine(), living_engine()
    engine.build(MemoryStore(slides[:3]))
    other.build(MemoryStore(slides[3:]))
    assert engine.records.background is not None
    assert other.records.background is not None
    expected = np.concatenate([engine.records.background.codes.values, other.records.background.codes.values])
    engine.join([other])
    np.testing.assert_array_equal(engine.records.background.codes.values, expected)
    engine.remove(["s001", "s005"])
    assert engine.records.background.slides is not None
    assert set(engine.records.background.slides.tolist()) == {b"s000", b"s002", b"s003", b"s004", b"s006"}
