"""Scores of several readers become one per item, un-blinded; then shares, comparisons and agreement.

Source: HERE (bioRxiv 10.1101/2025.10.25.684566): the median of the readers is the score; methods are compared by
Wilcoxon's signed-rank test, readers by Pearson's correlation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import stats

from src.errors import ConfigError
from src.eval.reader_study.sheets import HIGHEST, Sheet
from src.eval.statistics import bootstrap_interval, holm, paired_permutation_test

_GOOD = 4


def unblind(items: pd.DataFrame, sheets: Sequence[Sheet]) -> pd.DataFrame:
    """One row per item and aspect: what the key says of it, each reader's score, and their median as `score`.

    Args:
        items: of the study.
        sheets: one per reader, without faults.

    Returns:
        The columns of `items`, aspect, one column per reader, score; the score is NaN where a reader has none.

    Raises:
        ConfigError: two sheets have the same reader, or one is called like a column of the results.
    """
    readers = [sheet.reader for sheet in sheets]
    for reader in readers:
        if readers.count(reader) > 1 or reader in (*items.columns, "aspect", "score"):
            raise ConfigError(f"no reader can be called {reader!r}; give each sheet a file name of its own")
    by_item = items.set_index("item")
    by_aspect = [
        by_item.assign(aspect=str(aspect), **{sheet.reader: sheet.scores[aspect] for sheet in sheets})
        for aspect in sheets[0].scores
    ]
    scores = pd.concat(by_aspect).reset_index()
    # An item that one reader did not score has no median: it would rest on other readers than its neighbours.
    return scores.assign(score=scores[readers].median(axis=1, skipna=False))


def shares(scores: pd.DataFrame) -> pd.DataFrame:
    """Per aspect and method: number of scores, their mean and median, and the shares that are 5, 4, and 4 or more.

    `low` and `high` bound the last share: 95 % bootstrap interval over the queries' patients.
    """
    rows = [
        {"aspect": aspect, "method": method, **_shares_of(group)}
        for aspect, of_aspect in scores.dropna(subset="score").groupby("aspect", sort=False)
        for method, group in of_aspect.groupby("method")
    ]
    return pd.DataFrame(rows)


def comparisons(scores: pd.DataFrame, reference: str | None = None) -> pd.DataFrame:
    """Per aspect, pairs of methods over the queries that both have a score for.

    Methods are paired per query. Where hits are scored one by one, a query's value is the mean over the places that
    both methods have, since the five hits of a query are no independent observations. Wilcoxon's test leaves equal
    pairs out (p is 1 when all are equal); as queries of one patient are alike, `patient_p` flips the sign of whole
    patients instead. `wilcoxon_holm` is corrected for the comparisons of its aspect.

    Args:
        scores: as `unblind` gives them.
        reference: compare this method with each other one; by default all pairs are compared.

    Raises:
        ConfigError: there is no such method.
    """
    methods = sorted(set(scores["method"]))
    if reference is not None and reference not in methods:
        raise ConfigError(f"there is no method {reference!r} in this study; it has {', '.join(methods)}")
    pairs = [pair for pair in combinations(methods, 2) if reference in (None, *pair)]
    if reference is not None:
        pairs = [(reference, a if b == reference else b) for a, b in pairs]
    rows = []
    for aspect, group in scores.dropna(subset="score").groupby("aspect", sort=False):
        compared = [{"aspect": aspect, "method_a": a, "method_b": b, **_compare(group, a, b)} for a, b in pairs]
        corrected = holm([row["wilcoxon_p"] for row in compared])
        rows += [row | {"wilcoxon_holm": p} for row, p in zip(compared, corrected, strict=True)]
    return pd.DataFrame(rows)


def agreement(scores: pd.DataFrame, readers: Sequence[str]) -> pd.DataFrame:
    """Per aspect and pair of readers: Pearson's r over the items that both scored; NaN where one never varies."""
    rows = []
    for aspect, group in scores.groupby("aspect", sort=False):
        for reader_a, reader_b in combinations(readers, 2):
            both = group[[reader_a, reader_b]].dropna().to_numpy(dtype=np.float64)
            pair = {"aspect": aspect, "reader_a": reader_a, "reader_b": reader_b, "n_items": len(both)}
            rows.append(pair | {"pearson_r": _pearson(both[:, 0], both[:, 1])})
    return pd.DataFrame(rows, columns=["aspect", "reader_a", "reader_b", "n_items", "pearson_r"])


def _shares_of(group: pd.DataFrame) -> dict[str, int | float]:
    score = group["score"].to_numpy(dtype=np.float64)
    is_good = (score >= _GOOD).astype(np.float64)
    one_class = np.zeros(len(score), np.int64)
    low, high = bootstrap_interval(is_good, one_class, group["query_patient"].tolist()) or (math.nan, math.nan)
    return {
        "n_items": len(score),
        "mean": float(score.mean()),
        "median": float(np.median(score)),
        "share_5": float((score == HIGHEST).mean()),
        "share_4": float((score == _GOOD).mean()),
        "share_4_or_5": float(is_good.mean()),
        "low": low,
        "high": high,
    }


def _compare(scores: pd.DataFrame, method_a: str, method_b: str) -> dict[str, int | float]:
    query = ["query_id", "query_patient"]
    pairs = [*query, "place"] if "place" in scores else query
    paired = scores.pivot(index=pairs, columns="method", values="score").reindex(columns=[method_a, method_b])
    paired = paired.dropna().groupby(level=query).mean()
    values_a, values_b = paired.to_numpy(dtype=np.float64).T
    patients = paired.index.get_level_values("query_patient").tolist()
    return {
        "n_queries": len(paired),
        "mean_difference": float((values_a - values_b).mean()) if len(paired) else math.nan,
        "wilcoxon_p": _wilcoxon(values_a - values_b),
        "patient_p": paired_permutation_test(values_a, values_b, patients),
    }


def _wilcoxon(difference: Float64[np.ndarray, " query"]) -> float:
    return float(stats.wilcoxon(difference).pvalue) if np.any(difference) else 1.0


def _pearson(a: Float64[np.ndarray, " item"], b: Float64[np.ndarray, " item"]) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(stats.pearsonr(a, b).statistic)
