"""Which runs really differ: paired tests over the queries that both answer, corrected after Holm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from src.eval.run import Run
from src.eval.statistics import holm, paired_permutation_test

_MOST_RUNS = 16  # 120 pairs; of more, few survive the correction


def against_first(runs: Sequence[Run], key: str, seed: int) -> tuple[float | None, ...]:
    """Each run's p against the first, Holm-corrected; None for the first, and where queries differ.

    Args:
        runs: the best one first.
        key: of the metric.
        seed: of the permutation tests.
    """
    raw = {place: _p(runs[0], run, key, seed) for place, run in enumerate(runs[1:], start=1)}
    tested = {place: p for place, p in raw.items() if p is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return tuple(corrected.get(place) for place in range(len(runs)))


def pair_table(runs: Sequence[Run], names: Sequence[str], key: str, seed: int) -> pd.DataFrame:
    """One row per pair of runs that answer the same queries: difference, p, and p corrected for all pairs.

    Args:
        runs: in the order of the rows; of more than 16, the first 16.
        names: one per run.
        key: of the metric; tested is its mean over all queries.
        seed: of the permutation tests.
    """
    rows = []
    for (a, name_a), (b, name_b) in combinations(list(zip(runs, names, strict=True))[:_MOST_RUNS], 2):
        p = _p(a, b, key, seed)
        if p is not None:
            rows.append((name_a, name_b, key, _mean(a, key) - _mean(b, key), p))
    table = pd.DataFrame(rows, columns=["run", "other", "metric", "difference", "p"])
    return table.assign(p_holm=holm(table["p"].tolist()))


def _p(a: Run, b: Run, key: str, seed: int) -> float | None:
    """Of the difference of two runs, over the mean of all queries; None where they answer different queries."""
    first, second = a.single_values(key), b.single_values(key)
    if first is None or second is None or not first.index.sort_values().equals(second.index.sort_values()):
        return None
    other = second.loc[first.index, key].to_numpy()
    return paired_permutation_test(first[key].to_numpy(), other, first["query_patient"].tolist(), seed=seed)


def _mean(run: Run, key: str) -> float:
    values = run.single_values(key)
    assert values is not None
    return float(values[key].mean())
