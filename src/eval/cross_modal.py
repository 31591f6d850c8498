"""Slides found by slides, by reports, and reports by both, in one space: four directions of cosine retrieval.

Source: PathSearch, Dootmaan/PathSearch (commit 650ff02), `src/test/`. Differs from it: a query's patient is left out by
default; the metrics are those of `variants`, the official ones under their own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Int64

from src.errors import ConfigError
from src.eval.judged import Judged
from src.eval.metrics import NO_HIT, Values
from src.eval.statistics import Bootstrap, bootstrap_interval
from src.eval.variants import chance_top_1, metrics_at

METRICS = ("top1", "mMV", "pathsearch/", "pathsearch/recall", "pathsearch/MV")
KS = (1, 3, 5)
DIRECTIONS = ("image_to_image", "text_to_image", "image_to_text", "text_to_text")
LEAVE_OUT = ("patient", "official")

_BOOTSTRAP = Bootstrap()

Vectors = Float32[np.ndarray, "item dim"]


@dataclass(frozen=True)
class Paired:
    """Slides that have a label and a report.

    Attributes:
        slide_ids: of each.
        patients: owner of each.
        labels: class of each, empty where unknown.
        images: unit vectors of the slides.
        texts: unit vectors of their reports.
    """

    slide_ids: tuple[str, ...]
    patients: tuple[str, ...]
    labels: tuple[str, ...]
    images: Vectors
    texts: Vectors

    def of(self, side: str) -> Vectors:
        """The vectors of one side, `image` or `text`."""
        return self.images if side == "image" else self.texts

    def labelled(self) -> Paired:
        """Without the slides whose label is empty."""
        kept = [i for i, label in enumerate(self.labels) if label]
        slide_ids, patients, labels = (
            tuple(values[i] for i in kept) for values in (self.slide_ids, self.patients, self.labels)
        )
        return Paired(slide_ids, patients, labels, self.images[kept], self.texts[kept])


def directions(paired: Paired, leave_out: str = "patient") -> dict[str, Judged]:
    """The judged rankings of each direction, `text_to_image` for example.

    Args:
        paired: both sides; each is query and database.
        leave_out: `patient`: what belongs to the query's patient is no answer; `official`: only the query itself is
            none, so that a report may find its own slide.

    Raises:
        ConfigError: another word.
    """
    if leave_out not in LEAVE_OUT:
        raise ConfigError(f"leave_out is {leave_out!r}; expected one of {', '.join(LEAVE_OUT)}")
    judged = {}
    for name in DIRECTIONS:
        query, _, answer = name.partition("_to_")
        is_allowed = _allowed(paired, leave_out, is_same_side=query == answer)
        judged[name] = _judged(paired, paired.of(query) @ paired.of(answer).T, is_allowed)
    return judged


def cross_modal_table(judged: Mapping[str, Judged], bootstrap: Bootstrap = _BOOTSTRAP) -> pd.DataFrame:
    """One row per direction and metric: value, 95 % interval over patients, queries; `chance_top1` among them.

    A direction of which no query can be judged is left out.
    """
    rows = []
    for direction, each in ((name, each) for name, each in judged.items() if len(each)):
        found = {key: metric.values(each, k) for key, (metric, k) in metrics_at(METRICS, KS).items()}
        for key, values in {**found, "chance_top1": chance_top_1(each)}.items():
            rows.append({"direction": direction, "metric": key, **_summary(values, each, bootstrap)})
    return pd.DataFrame(rows)


def _summary(values: Values, judged: Judged, bootstrap: Bootstrap) -> dict[str, float | int]:
    interval = bootstrap_interval(values, judged.query_label, judged.query_patients, bootstrap=bootstrap)
    low, high = (np.nan, np.nan) if interval is None else interval
    n_patients = len(set(judged.query_patients))
    return {"value": float(values.mean()), "low": low, "high": high, "queries": len(judged), "patients": n_patients}


def _allowed(paired: Paired, leave_out: str, is_same_side: bool) -> Bool[np.ndarray, "query answer"]:
    if leave_out == "patient":
        owners = np.array(paired.patients, dtype=str)
        return np.asarray(owners[:, None] != owners[None])
    return ~np.eye(len(paired.slide_ids), dtype=bool) if is_same_side else np.ones(2 * [len(paired.slide_ids)], bool)


def _judged(
    paired: Paired, cosines: Float32[np.ndarray, "query answer"], is_allowed: Bool[np.ndarray, "query answer"]
) -> Judged:
    """Queries without a relevant answer are left out; equal cosines go to the smaller slide_id."""
    names, codes = np.unique(np.array(paired.labels, dtype=str), return_inverse=True)
    n_relevant = (is_allowed & (codes[:, None] == codes[None])).sum(axis=1)
    kept = np.flatnonzero(n_relevant)
    alphabet = np.argsort(np.argsort(np.array(paired.slide_ids, dtype=str)))
    order = [_ranked(cosines[i], alphabet, is_allowed[i]) for i in kept]
    hits = np.full((len(kept), max(map(len, order), default=0)), NO_HIT, dtype=np.int64)
    for row, answers in zip(hits, order, strict=True):
        row[: len(answers)] = codes[answers]
    return Judged(
        tuple(paired.slide_ids[i] for i in kept),
        tuple(paired.patients[i] for i in kept),
        codes[kept],
        hits,
        n_relevant[kept],
        is_allowed.sum(axis=1)[kept],
        tuple(map(str, names)),
        {"without a relevant item in their database": len(codes) - len(kept)},
    )


def _ranked(
    cosines: Float32[np.ndarray, " answer"],
    alphabet: Int64[np.ndarray, " answer"],
    is_allowed: Bool[np.ndarray, " answer"],
) -> Int64[np.ndarray, " allowed"]:
    order = np.lexsort((alphabet, -cosines))
    return np.asarray(order[is_allowed[order]])
