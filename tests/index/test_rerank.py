from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError, IncompatibleParts, IndexMismatch
from src.index.engine import RetrievalEngine
from src.index.folder import read_manifest
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.flat import Flat
from src.index.indexes.itq_lsh import ItqLsh
from src.index.indexes.ivf import Ivf
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File, RowStore, Sq8InMemory
from src.index.indexes.spool import Spool
from src.index.training_sample import TrainingSample
from src.interfaces import Codes, Index, Neighbours
from tests.index.databases import unit_vectors
from tests.index.test_every_combination import database, part

STORES = pytest.mark.parametrize("store", [Float16File, lambda: Float16File(3), Sq8InMemory])


def lossy() -> Ivf:
    return Ivf("PQ4x4fs", "none", nlist=None, nprobe=99, M=8, efSearch=16, efConstruction=40)


def filled(index: Index, codes: Codes) -> Index:
    index.train(codes)
    for rows in np.array_split(np.arange(len(codes)), 3):
        index.add(codes.take(rows))
    return index


def recall(found: Neighbours, exact: Neighbours) -> float:
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(exact.rows, found.rows, strict=True)]))


@pytest.mark.parametrize("make", [lossy, lambda: ItqLsh(8), lambda: Flat("cosine")])
@STORES
def test_reranking_every_row_is_exact_whatever_the_base_loses(make: type[Index], store: type[RowStore]) -> None:
    codes, queries = Codes(unit_vectors(0, 700, 20)), Codes(unit_vectors(1, 30, 20))
    excluded = np.arange(700) % 5 == 0
    exact = filled(Flat("l2"), codes).search(queries, 10, excluded)
    found = filled(Rerank(make(), 700, store()), codes).search(queries, 10, excluded)
    assert recall(found, exact) > 0.97
    np.testing.assert_allclose(found.distances, exact.distances, atol=0.02)


def test_more_candidates_find_more() -> None:
    codes, queries = Codes(unit_vectors(0, 700, 20)), Codes(unit_vectors(1, 30, 20))
    exact = filled(Flat("l2"), codes).search(queries, 10)
    index = Rerank(lossy(), 10, Float16File())
    filled(index, codes)
    recalls = []
    for index.n_candidates in (10, 50, 200, 700):
        recalls.append(recall(index.search(queries, 10), exact))
    assert recalls == sorted(recalls)
    assert recalls[0] < 0.6 < 0.97 < recalls[-1]


def test_equal_vectors_are_ordered_by_row() -> None:
    codes = Codes(np.tile(unit_vectors(0, 10, 20), (9, 1)))
    found = filled(Rerank(lossy(), 90, Float16File()), codes).search(Codes(unit_vectors(1, 5, 20)), 90)
    assert (np.diff(found.rows.reshape(5, 10, 9), axis=2) == 10).all()


def test_values_beyond_half_floats_are_refused() -> None:
    index = Rerank(Flat("l2"), 5, Float16File())
    with pytest.raises(ConfigError, match="codes reach 7e\\+04, float16 ends at 65504"):
        filled(index, Codes(np.full((3, 4), 7e4, np.float32)))


def test_bases_that_need_no_reranking_are_refused() -> None:
    with pytest.raises(IncompatibleParts, match="BinaryFlat takes binary ones"):
        Rerank(BinaryFlat(), 5, Float16File())
    with pytest.raises(ConfigError, match="reranks already"):
        Rerank(Rerank(Flat("l2"), 5, Float16File()), 5, Float16File())
    with pytest.raises(ConfigError, match="n_candidates is 0"):
        Rerank(Flat("l2"), 0, Float16File())


def test_manifest_vouches_for_the_vectors_and_counts_them(tmp_path: Path) -> None:
    options = {"mosaic": "all_patches", "code": "l2", "index": "rerank", "ranking": "nearest_patch"}
    parts = {group: part(group, option) for group, option in options.items()}
    engine = RetrievalEngine("any", **parts, training_sample=TrainingSample(9, 9, 1, 0))
    engine.build(database()[0])
    engine.save(tmp_path / "index")
    manifest = read_manifest(tmp_path / "index")
    files = sorted(path.name for path in (tmp_path / "index").glob("index.*"))
    assert files == ["index.faiss", "index.vectors"]
    assert set(files) <= set(manifest["sha256"])
    assert manifest["index_size_bytes"] == sum((tmp_path / "index" / name).stat().st_size for name in files)
    vectors = tmp_path / "index" / "index.vectors"
    content = bytearray(vectors.read_bytes())
    content[-1] ^= 1
    vectors.write_bytes(content)
    with pytest.raises(IndexMismatch, match=r"index.vectors has SHA-256"):
        engine.load(tmp_path / "index")


def test_spool_goes_on_where_a_saved_one_ended(tmp_path: Path) -> None:
    rows = np.arange(60, dtype=np.float32).reshape(20, 3)
    spool = Spool("float32")
    spool.append(rows[:7])
    assert np.array_equal(spool.rows, rows[:7])
    spool.append(rows[7:12])
    spool.save(tmp_path / "rows")
    loaded = Spool("float32")
    loaded.load(tmp_path / "rows")
    loaded.append(rows[12:])
    assert len(loaded) == 20
    assert np.array_equal(loaded.rows, rows)
