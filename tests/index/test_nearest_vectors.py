from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from src.errors import IndexMismatch
from src.index.indexes import growing_rows, nearest_vectors, products
from src.index.indexes.flat import Flat
from src.interfaces import Codes, Neighbours
from tests.index.databases import unit_vectors

METRICS = ("cosine", "l2")
KERNELS = [*products._KERNELS, None]


def filled(metric: str, vectors: np.ndarray) -> Flat:
    index = Flat(metric)
    for part in np.array_split(vectors, min(3, len(vectors))):
        index.add(Codes(part))
    return index


def repeated(metric: str, rng: np.random.Generator, n: int, dim: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of which many are equal or nearly so, some of another length, and queries that are among them."""
    kinds = rng.standard_normal((max(1, n // 3), dim)) + rng.choice([0, 30])
    vectors = kinds[rng.integers(0, len(kinds), n)]
    vectors += rng.choice([0, 1e-7, 1e-3], (n, 1)) * rng.standard_normal((n, dim))
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    else:
        vectors *= scale * rng.choice([1, 1, 1, 1e3], (n, 1))
    vectors = vectors.astype(np.float32)
    queries = vectors[rng.integers(0, n, 6)]
    if metric == "l2":
        queries[3:] = scale * rng.standard_normal((3, dim))
    return vectors, queries


def measured(metric: str, query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Distances that a row's place does not round: one row, one call."""
    kernel = faiss.fvec_inner_products_by_idx if metric == "cosine" else faiss.fvec_L2sqr_by_idx
    found, row = np.empty(len(vectors), np.float32), np.zeros(1, np.int64)
    for place, vector in enumerate(vectors):
        out = np.empty(1, np.float32)
        kernel(*(faiss.swig_ptr(part) for part in (out, query, vector.copy(), row)), len(query), 1, 1)
        found[place] = out[0]
    return 1 - found if metric == "cosine" else found


def expected(metric: str, vectors: np.ndarray, queries: np.ndarray, k: int, excluded: np.ndarray) -> Neighbours:
    rows, distances = np.full((len(queries), k), -1), np.full((len(queries), k), np.inf, np.float32)
    for place, query in enumerate(queries):
        own = np.where(excluded, np.float32(np.inf), measured(metric, query, vectors))
        order = np.argsort(own, kind="stable")[:k]
        order = order[np.isfinite(own[order])]
        rows[place, : len(order)], distances[place, : len(order)] = order, own[order]
    return Neighbours(distances, rows)


def assert_same(found: Neighbours, wanted: Neighbours) -> None:
    np.testing.assert_array_equal(found.rows, wanted.rows)
    np.testing.assert_array_equal(found.distances, wanted.distances)


@contextmanager
def kernel(one: products._Kernel | None) -> Iterator[None]:
    """Every query goes through one kernel; None leaves it to the product of matrices."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(products, "_IN_CACHE_BYTES", 0)
        patched.setattr(products, "_MATRIX_PAYS_FROM", 1 if one is None else 1000)
        patched.setattr(products, "_fastest", lambda dim: one)
        yield


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 10**6),
    metric=st.sampled_from(METRICS),
    n=st.integers(1, 150),
    dim=st.sampled_from([1, 7, 40]),
    k=st.integers(1, 170),
    share_out=st.sampled_from([0, 0.1, 0.6, 0.9, 1]),
    scale=st.sampled_from([1e-22, 1e-3, 1, 1e4, 1e17]),
    n_groups=st.sampled_from([1, 4, 1024]),
    scores_at_once=st.sampled_from([1, 300, 10**6]),
    by=st.sampled_from(KERNELS),
)
def test_the_answer_is_that_of_measuring_every_row_to_the_last_bit(
    seed: int,
    metric: str,
    n: int,
    dim: int,
    k: int,
    share_out: float,
    scale: float,
    n_groups: int,
    scores_at_once: int,
    by: products._Kernel | None,
) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = repeated(metric, rng, n, dim, scale)
    excluded = rng.random(n) < share_out
    with pytest.MonkeyPatch.context() as patched, kernel(by):
        patched.setattr(nearest_vectors, "_MIN_GROUPS", n_groups)
        patched.setattr(nearest_vectors, "_GROUPS_PER_ANSWER", 1)
        patched.setattr(nearest_vectors, "_MAX_SCORES", scores_at_once)
        found = filled(metric, vectors).search(Codes(queries), k, excluded)
    assert_same(found, expected(metric, vectors, queries, k, excluded))


@pytest.mark.parametrize("metric", METRICS)
def test_a_query_is_answered_the_same_alone_in_a_batch_and_with_any_number_of_threads(metric: str) -> None:
    rng = np.random.default_rng(0)
    vectors, queries = repeated(metric, rng, 5000, 64, 1)
    index = filled(metric, vectors)
    together = index.search(Codes(queries), 40)
    for n_threads in (1, 3):
        with threadpool_limits(n_threads):
            alone = [index.search(Codes(query[None]), 40) for query in queries]
        wanted = Neighbours(np.vstack([each.distances for each in alone]), np.vstack([each.rows for each in alone]))
        assert_same(together, wanted)


@pytest.mark.parametrize("metric", METRICS)
def test_order_of_the_rows_changes_no_distance(metric: str) -> None:
    rng = np.random.default_rng(1)
    vectors, queries = repeated(metric, rng, 3000, 33, 1)
    order = rng.permutation(3000)
    before = filled(metric, vectors).search(Codes(queries), 50)
    after = filled(metric, vectors[order]).search(Codes(queries), 50)
    np.testing.assert_array_equal(before.distances, after.distances)


def test_a_product_is_left_to_the_kernel_that_reads_memory_fastest() -> None:
    assert products._fastest(16) in products._KERNELS


def test_a_norm_too_large_for_float32_loses_no_row() -> None:
    vectors = np.array([[3e19], [1e19], [-3e19], [2.9e19], [1]], np.float32)
    found = filled("l2", vectors).search(Codes(np.array([[3e19]], np.float32)), 5)
    assert found.rows.tolist() == [[0, 3, -1, -1, -1]]


@pytest.mark.parametrize("metric", METRICS)
def test_rows_leave_in_place_and_the_file_is_that_of_faiss(
    metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_rows, "_ROWS_PER_COPY", 7)
    vectors, is_removed = unit_vectors(0, 90, 5), np.random.default_rng(0).random(90) < 0.4
    index = filled(metric, vectors)
    index.remove(is_removed)
    index.add(Codes(vectors[:4]))
    kept = np.concatenate([vectors[~is_removed], vectors[:4]])
    np.testing.assert_array_equal(index.codes().values, kept)
    index.save(tmp_path / "ours")
    plain = faiss.IndexFlatIP(5) if metric == "cosine" else faiss.IndexFlatL2(5)
    plain.add(kept)
    faiss.write_index(plain, str(tmp_path / "faiss"))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "faiss").read_bytes()


def test_a_file_of_another_index_or_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    faiss.write_index(faiss.IndexHNSWFlat(5, 8), str(path))
    with pytest.raises(IndexMismatch, match="holds no flat index; rebuild"):
        Flat("cosine").load(path)
    filled("l2", unit_vectors(0, 9, 5)).save(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(IndexMismatch, match="44 values, expected 9 x 5; rebuild"):
        Flat("l2").load(path)
