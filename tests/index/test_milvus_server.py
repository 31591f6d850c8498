"""A Milvus server, where $HISTOSEEK_MILVUS_URI names one, such as http://127.0.0.1:19530; its index takes minutes.

$HISTOSEEK_MILVUS_KINDS names other kinds to build, such as DISKANN, which not every build of Milvus has.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from src.errors import IndexMismatch
from src.index.indexes.flat import Flat
from src.index.indexes.milvus import Milvus
from src.interfaces import Codes
from tests.index.databases import unit_vectors

URI = os.environ.get("HISTOSEEK_MILVUS_URI", "")
KINDS = os.environ.get("HISTOSEEK_MILVUS_KINDS", "HNSW,IVF_PQ,SCANN").split(",")
pytestmark = [
    pytest.mark.skipif(not URI, reason="set HISTOSEEK_MILVUS_URI to the address of a Milvus server"),
    pytest.mark.timeout(1200),
]
VECTORS = unit_vectors(0, 6000, 64)
SETTINGS = {
    "HNSW": {"M": 16, "efConstruction": 100, "ef": 128},
    "IVF_PQ": {"nlist": 16, "m": 16, "nbits": 8, "nprobe": 16},
    "SCANN": {"nlist": 16, "nprobe": 16, "reorder_k": 200},
    "DISKANN": {"search_list": 128},
}


def empty(kind: str) -> Milvus:
    return Milvus(URI, "MILVUS_TOKEN", kind, SETTINGS, 5000, 900)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_builds_what_it_is_asked_for_and_leaves_out_what_it_is_told(kind: str, tmp_path: Path) -> None:
    index, exact = empty(kind), Flat("l2")
    index.train(Codes(VECTORS))
    exact.add(Codes(VECTORS))
    for part in np.split(VECTORS, 12):
        index.add(Codes(part))
    described = index.describe()
    assert (described["kind"], described["rows_indexed"], described["rows_scanned"]) == (kind, 6000, 0)
    excluded = np.arange(6000) // 500 == 0
    queries = Codes(VECTORS[:50])
    pairs = zip(index.search(queries, 10).rows.tolist(), exact.search(queries, 10).rows.tolist(), strict=True)
    assert np.mean([len(set(found) & set(nearest)) / 10 for found, nearest in pairs]) > (
        0.1 if kind == "IVF_PQ" else 0.8
    )
    found = index.search(queries, 10, excluded)
    assert not excluded[found.rows[found.rows >= 0]].any()
    index.save(tmp_path / "index.faiss")
    index.remove(excluded)
    index.save(tmp_path / "index.faiss")
    loaded = empty(kind)
    loaded.load(tmp_path / "index.faiss")
    assert len(loaded) == loaded._database.count() == 5500
    assert np.mean(loaded.search(queries, 10).rows == found.rows - 500) > 0.6  # of IVF_PQ; 1 of others
    loaded._database.drop(loaded._table)
    with pytest.raises(IndexMismatch, match="has no collection"):
        empty(kind).load(tmp_path / "index.faiss")
