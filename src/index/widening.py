"""How many rows a search asks for: what the ranking counts, or more and more until its first answers are certain."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int32

from src.index.rankers.merging import nearest_of_rows, nearest_of_slides
from src.index.rankers.slide_minima import nearest_of_slides_among
from src.interfaces import Codes, Index, Neighbours, Ranked, Ranker, Rows

_FACTOR = 4
_MAX_FOUND = 1 << 23  # 96 MiB of distances and rows


@runtime_checkable
class CountsSlides(Protocol):
    """A ranking that asks for every row, but counts only the nearest of each slide to each query code.

    Attributes:
        counts_nearest_of_slide: always true.
    """

    counts_nearest_of_slide: bool


@runtime_checkable
class KnowsAll(Protocol):
    """An index that can state the distance of every row without putting them in order."""

    def distances(self, queries: Codes) -> Int32[np.ndarray, "query row"]:
        """Of every row."""
        ...


@runtime_checkable
class CountsNear(Protocol):
    """A ranking that asks for every row, but counts only those within a distance.

    Attributes:
        max_distance: as the index states it.
    """

    max_distance: float


@runtime_checkable
class KnowsNear(Protocol):
    """An index that finds every row within a distance faster than it puts all rows in order."""

    def near(self, queries: Codes, max_distance: float, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """Every row within a distance of each query."""
        ...


def neighbours_for(
    ranking: Ranker, index: Index, rows: Rows, queries: Codes, k: int, is_excluded: Bool[np.ndarray, " row"] | None
) -> Neighbours:
    """The neighbours that `ranking` needs to name `k` slides, or `k` patches where it ranks patches.

    An exhaustive ranking gets enough of them that no row which was not asked for can change its first `k` answers; on
    an exact index its answer is therefore exact. It may take memory for every row and query code, 12 bytes each. An
    index that has no more rows to answer (one that visits a part of its lists) is not asked again. A ranking that
    counts only the nearest row of each slide (`CountsSlides`) gets these, with memory for a block of query codes; one
    that counts near rows (`CountsNear`) gets no others where the index can tell (`KnowsNear`).

    Args:
        ranking: says how many rows it counts, and whether it is exhaustive.
        index: what is searched.
        rows: of the index.
        queries: what is searched for.
        k: answers wanted.
        is_excluded: rows that are left out, not all of them.
    """
    n_allowed = len(rows) if is_excluded is None else int(np.sum(~is_excluded))
    n_counted = n_allowed if ranking.n_neighbours is None else min(ranking.n_neighbours, n_allowed)
    if isinstance(ranking, CountsSlides):
        return _nearest_of_slides(index, rows, queries, n_allowed, is_excluded)
    if isinstance(ranking, CountsNear) and isinstance(index, KnowsNear) and ranking.n_neighbours is None:
        return index.near(queries, ranking.max_distance, is_excluded)
    if not ranking.is_exhaustive:
        return index.search(queries, n_counted, is_excluded)
    n_answers = min(k, n_allowed if ranking.ranks == "patches" else _n_allowed_slides(rows, is_excluded))
    n_wanted = max(k, n_counted) + 1  # the last row found is never certain
    while n_wanted < n_allowed:
        neighbours = index.search(queries, n_wanted, is_excluded)
        has_no_more = bool((neighbours.rows[:, -1] < 0).all())
        if has_no_more or _n_certain(neighbours, rows, ranking.ranks) >= n_answers:
            return neighbours
        n_wanted *= _FACTOR
    return index.search(queries, n_allowed, is_excluded)


def _nearest_of_slides(
    index: Index, rows: Rows, queries: Codes, n_allowed: int, is_excluded: Bool[np.ndarray, " row"] | None
) -> Neighbours:
    """Every row is found, but of only so many query codes at a time, at least one."""
    step = max(1, _MAX_FOUND // n_allowed)
    blocks = [queries.take(slice(start, start + step)) for start in range(0, len(queries), step)]
    if isinstance(index, KnowsAll):
        parts = [nearest_of_slides_among(index.distances(block), rows, is_excluded) for block in blocks]
    else:
        parts = [nearest_of_slides(index.search(block, n_allowed, is_excluded), rows) for block in blocks]
    return Neighbours(np.concatenate([part.distances for part in parts]), np.concatenate([part.rows for part in parts]))


def _n_allowed_slides(rows: Rows, is_excluded: Bool[np.ndarray, " row"] | None) -> int:
    is_allowed = np.zeros(len(rows.slide_ids), dtype=bool)
    is_allowed[rows.slide_of_row if is_excluded is None else rows.slide_of_row[~is_excluded]] = True
    return int(is_allowed.sum())


def _n_certain(neighbours: Neighbours, rows: Rows, ranked: Ranked) -> int:
    # A row that a query code has not found lies beyond that code's last neighbour (inf once it has found all), so what
    # lies before the nearest of these ends cannot be overtaken by a row that is still unseen.
    end = neighbours.distances[:, -1].min()
    found, distances = nearest_of_rows(neighbours)
    certain = found[distances < end]
    return len(certain) if ranked == "patches" else len(np.unique(rows.slide_of_row[certain]))
