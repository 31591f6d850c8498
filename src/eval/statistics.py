"""How sure a number is, and whether two engines differ, where slides of one patient are not independent.

Intervals are percentile bootstraps over patients (Efron & Tibshirani 1993, ch. 13; clusters are drawn whole). Two
engines are compared by flipping the sign of each patient's difference (Good 2005, paired randomisation), and several
comparisons are corrected after Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from src.errors import ConfigError

Average = Literal["queries", "classes", "median of classes", "queries times classes"]
Interval = tuple[float, float]

_BATCH = 256


@dataclass(frozen=True)
class Bootstrap:
    """How an interval is found.

    Attributes:
        n_resamples: how often the patients are drawn anew, with replacement.
        seed: of the draws; the same for every metric, so that intervals of two metrics belong together.
    """

    n_resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_resamples < 1:
            raise ConfigError(f"eval.bootstrap.n_resamples is {self.n_resamples}; it must be at least 1")


def average_of(
    values: Float64[np.ndarray, " query"], classes: Int64[np.ndarray, " query"], average: Average = "queries"
) -> float:
    """One number from the values of all queries; NaN values are left out, and NaN comes back where nothing is left.

    Args:
        values: one per query.
        classes: label code of each query, from 0.
        average: over queries (micro), over the means of the classes that have a query (macro), their median, or the
            product of the first two.

    >>> average_of(np.array([1.0, 1.0, 0.0]), np.array([0, 0, 1]), "classes")
    0.5
    """
    if np.isnan(values).all():
        return math.nan
    totals, counts = _sums(values, classes, np.zeros_like(classes))
    return float(_average(totals, counts, average)[0])


@dataclass(frozen=True)
class Intervals:
    """95 % percentile intervals of one metric, all from the same draws.

    Attributes:
        averages: of each average that was asked for.
        classes: of the mean of each class, by its code; a class whose queries have one patient has none.
    """

    averages: Mapping[Average, Interval]
    classes: Mapping[int, Interval]


def bootstrap_intervals(
    values: Float64[np.ndarray, " query"],
    classes: Int64[np.ndarray, " query"],
    patients: Sequence[str],
    averages: Sequence[Average],
    bootstrap: Bootstrap = Bootstrap(),
) -> Intervals | None:
    """The intervals of averages and classes when the patients are drawn anew; None for fewer than two patients.

    Args:
        values: one per query; NaN values are left out.
        classes: label code of each query, from 0.
        patients: owner of each query; all queries of a patient are drawn together.
        averages: as in `average_of`.
        bootstrap: number of draws and seed.
    """
    kept = ~np.isnan(values)
    names, owner = np.unique(np.asarray(patients, dtype=str)[kept], return_inverse=True)
    if len(names) < 2:
        return None
    totals, counts = _sums(values[kept], classes[kept], owner.astype(np.int64))
    drawn = [(draw @ totals, draw @ counts) for draw in _draws(len(names), bootstrap)]
    drawn_totals, drawn_counts = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    means = _ratio(drawn_totals, drawn_counts)
    with_patients = np.flatnonzero((counts > 0).sum(axis=0) > 1)
    return Intervals(
        {average: _interval(_average(drawn_totals, drawn_counts, average)) for average in averages},
        {int(code): _interval(means[:, code]) for code in with_patients},
    )


def bootstrap_interval(
    values: Float64[np.ndarray, " query"],
    classes: Int64[np.ndarray, " query"],
    patients: Sequence[str],
    average: Average = "queries",
    bootstrap: Bootstrap = Bootstrap(),
) -> Interval | None:
    """The 95 % interval of one average; see `bootstrap_intervals`."""
    intervals = bootstrap_intervals(values, classes, patients, (average,), bootstrap)
    return None if intervals is None else intervals.averages[average]


def paired_permutation_test(
    values_a: Float64[np.ndarray, " query"],
    values_b: Float64[np.ndarray, " query"],
    patients: Sequence[str],
    n_permutations: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p of the difference of two engines' means over the same queries.

    Under the null hypothesis the engines can be exchanged for any patient, so each patient's summed difference may
    have either sign. p = (b + 1) / (n + 1), b of n random sign patterns being at least as far from zero as what was
    measured; 1 where the engines agree on every query. NaN values leave their query out.

    >>> paired_permutation_test(np.ones(3), np.ones(3), ["a", "b", "c"])
    1.0
    """
    difference = values_a - values_b
    kept = ~np.isnan(difference)
    owner = np.unique(np.asarray(patients, dtype=str)[kept], return_inverse=True)[1]
    by_patient = np.bincount(owner, weights=difference[kept])
    measured = abs(by_patient.sum()) - 1e-9  # equal sums may differ in the last digits
    rng = np.random.default_rng(seed)
    n_as_far = 0
    for size in _batches(n_permutations):
        signs = rng.choice([-1.0, 1.0], size=(size, len(by_patient)))
        n_as_far += int((np.abs(signs @ by_patient) >= measured).sum())
    return (n_as_far + 1) / (n_permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p values of several comparisons: the chance of any false finding stays below alpha (step down).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, stepped)
    return [float(value) for value in corrected]


def _sums(
    values: Float64[np.ndarray, " query"], classes: Int64[np.ndarray, " query"], owner: Int64[np.ndarray, " query"]
) -> tuple[Float64[np.ndarray, "patient class"], Float64[np.ndarray, "patient class"]]:
    """Sum of the values and number of queries of each patient in each class, NaN values left out."""
    kept = ~np.isnan(values)
    shape = (int(owner.max(initial=0)) + 1, int(classes.max(initial=0)) + 1)
    totals, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(totals, (owner[kept], classes[kept]), values[kept])
    np.add.at(counts, (owner[kept], classes[kept]), 1)
    return totals, counts


def _average(
    totals: Float64[np.ndarray, "sample class"], counts: Float64[np.ndarray, "sample class"], average: Average
) -> Float64[np.ndarray, " sample"]:
    if average == "queries":
        return _ratio(totals.sum(axis=1), counts.sum(axis=1))
    means = _ratio(totals, counts)  # a class without a query has no mean
    if average == "queries times classes":
        product: Float64[np.ndarray, " sample"] = _average(totals, counts, "queries") * np.nanmean(means, axis=1)
        return product
    middle: Float64[np.ndarray, " sample"] = (np.nanmean if average == "classes" else np.nanmedian)(means, axis=1)
    return middle


def _ratio(totals: Float64[np.ndarray, "*axes"], counts: Float64[np.ndarray, "*axes"]) -> Float64[np.ndarray, "*axes"]:
    ratio = np.full_like(totals, np.nan)
    np.divide(totals, counts, out=ratio, where=counts > 0)
    return ratio


def _interval(estimates: Float64[np.ndarray, " sample"]) -> Interval:
    """A draw in which a class has no query says nothing of it."""
    low, high = np.nanquantile(estimates, [0.025, 0.975])
    return float(low), float(high)


def _draws(n_patients: int, bootstrap: Bootstrap) -> Iterator[Float64[np.ndarray, "sample patient"]]:
    """How often each patient is drawn, in batches that bound the memory."""
    rng = np.random.default_rng(bootstrap.seed)
    for size in _batches(bootstrap.n_resamples):
        drawn = rng.integers(n_patients, size=(size, n_patients))
        yield np.stack([np.bincount(patients, minlength=n_patients) for patients in drawn]).astype(np.float64)


def _batches(n: int) -> list[int]:
    return [min(_BATCH, n - start) for start in range(0, n, _BATCH)]
