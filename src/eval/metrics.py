"""The five numbers of a retrieval, one value per query, each with its whole definition.

Every function takes label codes: `query_label` of the queries, `hit_label` of their hits in ranked order, -1 where a
query has no more hits. Hits are slides of the database that the protocol allows; hits that cannot be judged are gone
already (src/eval/judge.py). A value is a number between 0 and 1, never NaN. Where `k` exceeds the hits there are
(a small database, a short answer), the missing hits are wrong answers, except in the majority vote, where they do not
vote. Published definitions that differ from these stand in src/eval/variants.py.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64

NO_HIT = -1
"""Label code of a place in the ranking that no hit fills."""

UNLABELLED = -2
"""Label code of a hit whose label is not known: relevant to nobody."""

QueryLabels = Int64[np.ndarray, " query"]
HitLabels = Int64[np.ndarray, "query rank"]
Values = Float64[np.ndarray, " query"]


def top_1(query_label: QueryLabels, hit_label: HitLabels) -> Values:
    """1 when the first hit has the query's label, else 0; no hit at all is 0.

    >>> top_1(np.array([0, 0]), np.array([[0, 1], [1, 0]])).tolist()
    [1.0, 0.0]
    """
    return precision_at_k(query_label, hit_label, 1)


def majority_vote_at_k(query_label: QueryLabels, hit_label: HitLabels, k: int) -> Values:
    """mMV@k: 1 when the most frequent label of the first `k` hits is the query's, else 0.

    Ties go to the label met first, the better ranked. A list of fewer than `k` hits votes with what it has; a query
    without hits is 0.

    >>> majority_vote_at_k(np.array([0, 0, 0]), np.array([[1, 0, 0], [1, 0, -1], [0, 1, -1]]), 3).tolist()
    [1.0, 0.0, 1.0]
    """
    winner, _ = majority(first_hits(hit_label, k))
    is_right: Values = (winner == query_label).astype(np.float64)
    return is_right


def average_precision_at_k(query_label: QueryLabels, hit_label: HitLabels, n_relevant: QueryLabels, k: int) -> Values:
    """AP@k: precision at the rank of each relevant hit among the first `k`, summed, over min(k, n_relevant).

    The denominator is what a perfect ranking would reach, so that 1 is attainable whatever the size of the class. A
    query without anything relevant in the database is 0 (judging leaves such queries out). mAP@k is the mean.

    >>> average_precision_at_k(np.array([0]), np.array([[0, 1, 0]]), np.array([2]), 3).round(3).tolist()
    [0.833]
    """
    is_relevant = relevant_hits(query_label, hit_label, k)
    values: Values = summed_precision(is_relevant) / np.maximum(1, np.minimum(k, n_relevant))
    return values


def precision_at_k(query_label: QueryLabels, hit_label: HitLabels, k: int) -> Values:
    """Relevant hits among the first `k`, over `k`, also where fewer than `k` hits exist.

    >>> precision_at_k(np.array([0, 0]), np.array([[0, 1], [0, -1]]), 2).tolist()
    [0.5, 0.5]
    """
    values: Values = relevant_hits(query_label, hit_label, k).sum(axis=1) / k
    return values


def recall_at_k(query_label: QueryLabels, hit_label: HitLabels, n_relevant: QueryLabels, k: int) -> Values:
    """Relevant hits among the first `k`, over all that are relevant in the query's database; 0 where none is.

    >>> recall_at_k(np.array([0]), np.array([[0, 1, 0]]), np.array([4]), 3).tolist()
    [0.5]
    """
    values: Values = relevant_hits(query_label, hit_label, k).sum(axis=1) / np.maximum(1, n_relevant)
    return values


def first_hits(hit_label: HitLabels, k: int) -> Int64[np.ndarray, "query k"]:
    """Exactly `k` columns: cut, or filled with NO_HIT."""
    cut = hit_label[:, :k]
    return np.pad(cut, ((0, 0), (0, k - cut.shape[1])), constant_values=NO_HIT)


def relevant_hits(query_label: QueryLabels, hit_label: HitLabels, k: int) -> Bool[np.ndarray, "query k"]:
    """Which of the first `k` hits have the query's label."""
    hits = first_hits(hit_label, k)
    is_relevant: Bool[np.ndarray, "query k"] = (hits == query_label[:, None]) & (hits >= 0)
    return is_relevant


def summed_precision(is_relevant: Bool[np.ndarray, "query k"]) -> Values:
    """Precision at the rank of each relevant hit, summed."""
    ranks = np.arange(1, is_relevant.shape[1] + 1)
    sums: Values = (is_relevant * is_relevant.cumsum(axis=1) / ranks).sum(axis=1)
    return sums


def majority(hits: HitLabels, missing_votes: bool = False) -> tuple[QueryLabels, QueryLabels]:
    """The most frequent label of each row and its votes; ties go to the label met first.

    Args:
        hits: label codes, NO_HIT where there is none.
        missing_votes: count NO_HIT as a label like the others; without it, NO_HIT wins only in an empty row, with 0.
    """
    votes = (hits[:, :, None] == hits[:, None, :]).sum(axis=2)  # votes for the label that stands at each rank
    if not missing_votes:
        votes[hits == NO_HIT] = 0
    first = votes.argmax(axis=1)  # argmax takes the first of equals
    rows = np.arange(len(hits))
    return hits[rows, first], votes[rows, first]
