"""How many rows a search asks for: what the ranking counts, or more and more until its first answers are certain."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from src.index.rankers.merging import nearest_of_rows
from src.interfaces import Codes, Index, Neighbours, Ranked, Ranker, Rows

_FACTOR = 4


def neighbours_for(
    ranking: Ranker, index: Index, rows: Rows, queries: Codes, k: int, is_excluded: Bool[np.ndarray, " row"] | None
) -> Neighbours:
    """The neighbours that `ranking` needs to name `k` slides, or `k` patches where it ranks patches.

    An exhaustive ranking gets enough of them that no row which was not asked for can change its first `k` answers; on
    an exact index its answer is therefore exact. It may take memory for every row and query code, 12 bytes each. An
    index that has no more rows to answer (one that visits a part of its lists) is not asked again.

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
