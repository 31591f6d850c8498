"""What the settings of a search give, measured, and the fastest that gives enough."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from src.index.indexes.exact_nearest import ExactNearest
from src.interfaces import Codes, Index

_N_TIMED = 50
_CHUNK = 50_000


@dataclass(frozen=True)
class Point:
    """One setting, and what it gave.

    Attributes:
        nprobe: lists that a query visits; 0 for exact search.
        n_candidates: rows that are reranked; 0 for exact search.
        recall: share of the exact nearest rows that were found.
        latency_ms: median of a query alone.
    """

    nprobe: int
    n_candidates: int
    recall: float
    latency_ms: float


@dataclass(frozen=True)
class HeldOut:
    """Rows of a database that are searched for, and what is nearest to each without itself.

    Attributes:
        rows: that are searched for.
        queries: their vectors.
        nearest: rows, nearest first.
    """

    rows: Int64[np.ndarray, " query"]
    queries: Float32[np.ndarray, "query dim"]
    nearest: Int64[np.ndarray, "query k"]


def held_out(vectors: Float32[np.ndarray, "row dim"], n_queries: int, k: int, seed: int) -> HeldOut:
    """Draw queries from a database of at least two rows, and search it exactly.

    Args:
        vectors: of every row, mapped; a chunk of them is in memory at a time.
        n_queries: at most; half of the rows where these are few.
        k: neighbours of each, or as many as there are.
        seed: of the draw.
    """
    n_drawn = min(n_queries, len(vectors) // 2)
    rows = np.sort(np.random.default_rng(seed).choice(len(vectors), n_drawn, replace=False))
    exact = ExactNearest(np.array(vectors[rows]), min(k, len(vectors) - 1) + 1)
    for start in range(0, len(vectors), _CHUNK):
        exact.add(vectors[start : start + _CHUNK])
    return HeldOut(rows, exact.queries, without(rows, exact.rows))


def measured(index: Index, asked: HeldOut, nprobe: int = 0, n_candidates: int = 0) -> Point:
    """Recall of all queries, and the median time of the first ones alone."""
    k = asked.nearest.shape[1]
    found = without(asked.rows, index.search(Codes(asked.queries), k + 1).rows)
    recall = np.mean([np.isin(rows, own).mean() for rows, own in zip(asked.nearest, found, strict=True)])
    latencies_ms = [_latency_ms(index, Codes(query[None]), k) for query in asked.queries[:_N_TIMED]]
    return Point(nprobe, n_candidates, round(float(recall), 4), round(float(np.median(latencies_ms)), 4))


def best(points: Sequence[Point], recall: float | None, latency_ms: float | None) -> Point | None:
    """The fastest point of enough recall; without a target of recall, the one of most that is fast enough.

    >>> points = [Point(1, 50, 0.7, 0.1), Point(8, 50, 0.96, 0.4), Point(64, 200, 0.99, 2.0)]
    >>> best(points, 0.95, None).nprobe, best(points, None, 0.5).nprobe, best(points, 0.99, 1.0)
    (8, 8, None)
    """
    enough = [
        point
        for point in points
        if (recall is None or point.recall >= recall) and (latency_ms is None or point.latency_ms <= latency_ms)
    ]
    if recall is None:
        return max(enough, key=lambda point: (point.recall, -point.latency_ms), default=None)
    return min(enough, key=lambda point: point.latency_ms, default=None)


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both recall and time, fastest first.

    >>> [point.nprobe for point in frontier([Point(4, 9, 0.8, 2.0), Point(1, 9, 0.7, 1.0), Point(2, 9, 0.6, 1.5)])]
    [1, 4]
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.latency_ms, -point.recall)):
        if not kept or point.recall > kept[-1].recall:
            kept.append(point)
    return kept


def without(own: Int64[np.ndarray, " query"], found: Int64[np.ndarray, "query more"]) -> Int64[np.ndarray, "query k"]:
    """Answers without each query's own row, or without the last where that was not found."""
    is_own = found == own[:, None]
    is_own[~is_own.any(axis=1), -1] = True
    others: np.ndarray = found[~is_own].reshape(len(found), -1)
    return others


def _latency_ms(index: Index, query: Codes, k: int) -> float:
    started = time.process_time()
    index.search(query, k)
    return 1000 * (time.process_time() - started)
