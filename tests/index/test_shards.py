from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.flat import Flat
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File
from src.index.indexes.shards import Shards
from src.interfaces import Codes, Index
from tests.index.databases import unit_vectors


def filled(index: Index, codes: Codes) -> Index:
    index.train(codes)
    for rows in np.array_split(np.arange(len(codes)), 3):
        index.add(codes.take(rows))
    return index


@pytest.mark.parametrize("rows_per_shard", [1, 7, 33, 100, 1000])
def test_shards_of_exact_indexes_are_exact(rows_per_shard: int) -> None:
    vectors, barcodes = np.random.default_rng(0).integers(0, 3, (2, 100, 8))
    excluded = np.arange(100) < 40
    for base, codes in (
        (Flat("l2"), Codes(vectors.astype(np.float32))),
        (BinaryFlat(), Codes(barcodes.astype(np.uint8), 64)),
    ):
        exact = filled(type(base)("l2") if isinstance(base, Flat) else BinaryFlat(), codes)
        shards = filled(Shards(base, rows_per_shard), codes)
        assert [each["n_rows"] for each in shards.describe()["shards"]][:-1] == [rows_per_shard] * (
            -(-100 // rows_per_shard) - 1
        )
        for k in (3, 70, 120):
            one, several = (index.search(codes.take(slice(9)), k, excluded) for index in (exact, shards))
            n_columns = several.rows.shape[1]
            assert np.array_equal(one.rows[:, :n_columns], several.rows)
            assert np.array_equal(one.distances[:, :n_columns], several.distances)
            assert n_columns == k


def test_shards_of_reranked_indexes_keep_their_files_apart(tmp_path: Path) -> None:
    codes, queries = Codes(unit_vectors(0, 90, 16)), Codes(unit_vectors(1, 4, 16))
    shards = filled(Shards(Rerank(Flat("l2"), 20, Float16File()), 40), codes)
    shards.save(tmp_path / "index.faiss")
    names = ["index.faiss", *(f"index.{n}.{kind}" for n in range(3) for kind in ("faiss", "vectors"))]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    loaded = Shards(Rerank(Flat("l2"), 20, Float16File()), 40)
    loaded.load(tmp_path / "index.faiss")
    assert np.array_equal(loaded.search(queries, 9).rows, shards.search(queries, 9).rows)


def test_shards_state_what_their_base_states() -> None:
    assert (Shards(BinaryFlat(), 9).accepts, Shards(Flat("cosine"), 9).distance_unit) == ("binary", "1 - cosine")


def test_rows_of_no_shard_are_refused() -> None:
    with pytest.raises(ConfigError, match="rows_per_shard is 0"):
        Shards(Flat("l2"), 0)
    with pytest.raises(ConfigError, match="not trained"):
        Shards(Flat("l2"), 9).add(Codes(unit_vectors(0, 3, 8)))
