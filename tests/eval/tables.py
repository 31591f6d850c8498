"""A small cohort, its rows in an index, and rankings of it, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from src.eval.protocols import RetrievalProtocol, Split, Unlabelled
from src.eval.rankings import Unit
from src.eval.statistics import Bootstrap
from src.interfaces import Hit, Ranking, Rows

COHORT = pd.DataFrame(
    {
        "slide_id": ["a1", "a2", "b1", "c1", "d1"],
        "patient_id": ["a", "a", "b", "c", "d"],
        "site": ["lung", "lung", "lung", "liver", None],
        "case": [1, 1, 2, 2, 3],
        "split": ["query", "database", "database", "train", "test"],
    }
)
PATIENT_OF = dict(zip(COHORT["slide_id"], COHORT["patient_id"], strict=True))

ROWS = Rows(
    slide_ids=tuple(COHORT["slide_id"]),
    patient_ids=tuple(COHORT["patient_id"]),
    slide_of_row=np.array([0, 0, 1, 2, 3, 4]),
    xy=np.array([[0, 0], [512, 0], [0, 0], [0, 0], [0, 0], [0, 0]]),
)


def protocol(
    leave_out: str = "patient",
    unit: Unit = "slide",
    metrics: Sequence[str] = ("mMV", "mAP"),
    k: Sequence[int] = (1, 3),
    unlabelled: Unlabelled = "drop",
    split: Split | None = None,
    label: str = "site",
) -> RetrievalProtocol:
    return RetrievalProtocol(
        name="test",
        unit=unit,
        leave_out=leave_out,
        label=label,
        k=k,
        depth=10,
        metrics=metrics,
        unlabelled=unlabelled,
        bootstrap=Bootstrap(n_resamples=200, seed=0),
        split=split,
    )


def ranking(query_id: str, hits: Sequence[str], xy: Sequence[tuple[int, int]] | None = None) -> Ranking:
    """Slides of COHORT in this order, at (0, 0) if not said otherwise."""
    places = xy or [(0, 0)] * len(hits)
    return Ranking(
        query_id,
        tuple(
            Hit(slide, PATIENT_OF[slide], x, y, distance=float(rank), score=-float(rank))
            for rank, (slide, (x, y)) in enumerate(zip(hits, places, strict=True))
        ),
    )


def answers(lists: Mapping[str, Sequence[str]]) -> list[tuple[Ranking, str]]:
    return [(ranking(query, hits), PATIENT_OF[query]) for query, hits in lists.items()]
