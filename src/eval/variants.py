"""Every metric by its name in `eval.metrics`, the published definitions among them.

A published name is `paper/metric`. They are kept because tables of different papers cannot be compared otherwise:

name        majority vote                                   average precision over      mean over
(ours)      short list votes with what it has               min(k, n_relevant)          queries
sish        short list: the winner needs ceil(k / 2) votes  5, whatever k is            classes
sish_patch  short list: the winner needs k votes, so never  5, whatever k is            classes
nejm        missing hits vote; if they win, the query goes  relevant hits among k       queries
hshr        as ours                                         relevant hits among k       queries
here        as ours                                         5, whatever k is            classes (median)

`pathsearch/@k` looks at the first hit alone, whatever k is; `pathsearch/recall@k` is 1 where any of the first k hits is
relevant; `pathsearch/MV@k` gives ties to the class that comes first in the alphabet (there: of the smallest number).

The three rules for the eta of Kimia Path24C stand in src/eval/kimia.py.

Sources: SISH, Chen et al. 2022, mahmoodlab/SISH at 42fe005 (eval.py, eval_patch.py); nejm, Shang et al., NEJM AI 2024,
jacobluber/PathologySearchComparison at 361a27d (analysis/); HSHR, Li et al. 2023, Lucius-lsr/HSHR at 58582e6
(utils/evaluate.py); HERE, data2intelligence/HERE_training; PathSearch, Dootmaan/PathSearch at 650ff02 (src/test/). AP
over 5 can exceed 1 where k is more than 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from src.errors import ConfigError
from src.eval.judged import Judged
from src.eval.kimia import ETA, notebook_shares
from src.eval.metrics import (
    NO_HIT,
    Values,
    average_precision_at_k,
    first_hits,
    majority,
    majority_vote_at_k,
    precision_at_k,
    recall_at_k,
    relevant_hits,
    summed_precision,
    top_1,
)
from src.eval.statistics import Average

_DIVISOR = 5


@dataclass(frozen=True)
class Metric:
    """A metric by name.

    Attributes:
        values: one value per query of judged rankings at `k`. NaN says that the definition leaves the query out.
        average: how the values of all queries become one number.
        fixed_k: the only `k` that the metric knows, where it has no choice of `k`.
    """

    values: Callable[[Judged, int], Values]
    average: Average = "queries"
    fixed_k: int | None = None


def metrics_at(names: Sequence[str], ks: Sequence[int]) -> dict[str, tuple[Metric, int]]:
    """The metrics of a protocol with their `k`, keyed as they are reported: `mAP@5`, `top1`.

    Raises:
        ConfigError: a name is not known.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ConfigError(f"eval.metrics: '{unknown[0]}' is not known; choose from {', '.join(METRICS)}")
    found: dict[str, tuple[Metric, int]] = {}
    for name in names:
        metric = METRICS[name]
        if metric.fixed_k is not None:
            found[name] = metric, metric.fixed_k
        else:
            found |= {f"{name}@{k}": (metric, k) for k in ks}
    return found


def chance_top_1(judged: Judged) -> Values:
    """Probability that a hit drawn at random from the query's database is relevant."""
    chance: Values = judged.n_relevant / judged.n_allowed
    return chance


def _top_1(judged: Judged, k: int) -> Values:
    return top_1(judged.query_label, judged.hit_label)


def _notebook_share(judged: Judged, k: int) -> Values:
    return notebook_shares(judged)


def _majority_vote(judged: Judged, k: int) -> Values:
    return majority_vote_at_k(judged.query_label, judged.hit_label, k)


def _average_precision(judged: Judged, k: int) -> Values:
    return average_precision_at_k(judged.query_label, judged.hit_label, judged.n_relevant, k)


def _precision(judged: Judged, k: int) -> Values:
    return precision_at_k(judged.query_label, judged.hit_label, k)


def _recall(judged: Judged, k: int) -> Values:
    return recall_at_k(judged.query_label, judged.hit_label, judged.n_relevant, k)


def _sish_majority_vote(judged: Judged, k: int) -> Values:
    """A list with fewer than `k` hits is right only when the query's label has ceil(k / 2) votes."""
    return _majority_with_least_votes(judged, k, least_votes=-(-k // 2))


def _sish_patch_majority_vote(judged: Judged, k: int) -> Values:
    """A list with fewer than `k` hits would need `k` votes: it is never right."""
    return _majority_with_least_votes(judged, k, least_votes=k)


def _majority_with_least_votes(judged: Judged, k: int, least_votes: int) -> Values:
    winner, votes = majority(first_hits(judged.hit_label, k))
    is_decided = (judged.n_hits >= k) | (votes >= least_votes)
    is_right: Values = ((winner == judged.query_label) & is_decided).astype(np.float64)
    return is_right


def _nejm_majority_vote(judged: Judged, k: int) -> Values:
    """Missing hits vote as one label of their own; NaN where that label wins: the query leaves the mean."""
    winner, _ = majority(first_hits(judged.hit_label, k), missing_votes=True)
    return np.where(winner == NO_HIT, np.nan, (winner == judged.query_label).astype(np.float64))


def _ap_over_five(judged: Judged, k: int) -> Values:
    return summed_precision(relevant_hits(judged.query_label, judged.hit_label, k)) / _DIVISOR


def _ap_over_found(judged: Judged, k: int) -> Values:
    """0 where none of the first `k` hits is relevant."""
    is_relevant = relevant_hits(judged.query_label, judged.hit_label, k)
    values: Values = summed_precision(is_relevant) / np.maximum(1, is_relevant.sum(axis=1))
    return values


def _any_relevant(judged: Judged, k: int) -> Values:
    is_found = relevant_hits(judged.query_label, judged.hit_label, k).any(axis=1)
    return np.asarray(is_found, dtype=np.float64)


def _majority_of_smallest(judged: Judged, k: int) -> Values:
    """In the order of their labels, the first that is met is the smallest; missing hits come last."""
    hits = first_hits(judged.hit_label, k)
    last = np.iinfo(hits.dtype).max
    ordered = np.sort(np.where(hits == NO_HIT, last, hits), axis=1)
    winner, _ = majority(np.where(ordered == last, NO_HIT, ordered))
    is_right: Values = (winner == judged.query_label).astype(np.float64)
    return is_right


METRICS: dict[str, Metric] = {
    "top1": Metric(_top_1, fixed_k=1),
    "mMV": Metric(_majority_vote),
    "mAP": Metric(_average_precision),
    "precision": Metric(_precision),
    "recall": Metric(_recall),
    "sish/mMV": Metric(_sish_majority_vote, average="classes"),
    "sish/mAP": Metric(_ap_over_five, average="classes"),
    "sish_patch/mMV": Metric(_sish_patch_majority_vote, average="classes"),
    "sish_patch/mAP": Metric(_ap_over_five, average="classes"),
    "nejm/mMV": Metric(_nejm_majority_vote),
    "nejm/mAP": Metric(_ap_over_found),
    "hshr/mMV": Metric(_majority_vote),
    "hshr/mAP": Metric(_ap_over_found),
    "here/mMV": Metric(_majority_vote, average="median of classes"),
    "here/mAP": Metric(_ap_over_five, average="median of classes"),
    "pathsearch/": Metric(_top_1),
    "pathsearch/recall": Metric(_any_relevant),
    "pathsearch/MV": Metric(_majority_of_smallest),
    **{f"kimia/{eta}": Metric(_top_1, average, fixed_k=1) for eta, average in ETA.items()},
    **{f"kimia_leave_one_out/{eta}": Metric(_top_1, average, fixed_k=1) for eta, average in ETA.items()},
    **{f"kimia_notebook/{eta}": Metric(_notebook_share, average, fixed_k=1) for eta, average in ETA.items()},
}
