"""Rankings whose hits carry labels: all that a metric needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64

from src.eval.metrics import NO_HIT


@dataclass(frozen=True)
class Judged:
    """Queries and their hits as label codes, one row per query that can be judged.

    Attributes:
        query_ids: slides, or `slide@x,y` where patches are ranked.
        query_patients: owner of each query.
        query_label: code of the query's label, a position in `class_names`.
        hit_label: codes of the hits in ranked order; NO_HIT (-1) where there are no more, UNLABELLED (-2) where the
            hit's label is not known.
        n_relevant: items of the query's label in the database that the protocol allows it, at least 1.
        n_allowed: all items of that database that count.
        class_names: the classes; a class may have no query.
        dropped: reason -> number of queries that could not be judged for it.
    """

    query_ids: tuple[str, ...]
    query_patients: tuple[str, ...]
    query_label: Int64[np.ndarray, " query"]
    hit_label: Int64[np.ndarray, "query rank"]
    n_relevant: Int64[np.ndarray, " query"]
    n_allowed: Int64[np.ndarray, " query"]
    class_names: tuple[str, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.query_ids) == len(self.query_patients) == len(self.query_label):
            raise ValueError("judged rankings: columns of different lengths")
        found = (self.hit_label == self.query_label[:, None]).sum(axis=1)
        if (found > self.n_relevant).any() or (self.n_relevant > self.n_allowed).any():
            raise ValueError("judged rankings: more relevant hits than the database holds")

    def __len__(self) -> int:
        return len(self.query_ids)

    @property
    def n_hits(self) -> Int64[np.ndarray, " query"]:
        """Hits of each query that could be judged."""
        n_hits: Int64[np.ndarray, " query"] = (self.hit_label != NO_HIT).sum(axis=1)
        return n_hits
