"""rankings.parquet: the answers of one run, the only input of every number.

One row per hit. A query without any hit has one row of rank -1 with an empty `hit_id`, so that it is not forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from src.data.files import written_whole
from src.errors import HistoseekError
from src.interfaces import Hit, Ranking

Unit = Literal["slide", "patch"]
"""What is ranked."""

DTYPES = {
    "query_id": "str",
    "query_patient": "str",
    "rank": "int64",
    "hit_id": "str",
    "hit_slide": "str",
    "hit_patient": "str",
    "x": "int64",
    "y": "int64",
    "distance": "float64",
    "score": "float64",
}
"""Columns of rankings.parquet: `rank` from 0, best first; `x`, `y` in level-0 pixels."""


def patch_id(slide_id: str, x: int, y: int) -> str:
    """Name of a patch where patches are ranked: `slide@x,y`, level-0 pixels.

    >>> patch_id("TCGA-A1", 512, 0)
    'TCGA-A1@512,0'
    """
    return f"{slide_id}@{x},{y}"


def save_rankings(path: Path, answers: Iterable[tuple[Ranking, str]], unit: Unit = "slide") -> None:
    """Write the answers of a run, whole or not at all.

    Args:
        path: the parquet file.
        answers: ranking and patient of each query.
        unit: `slide` names hits by their slide, `patch` by `slide@x,y`.

    Raises:
        HistoseekError: a query or a hit stands there twice.
    """
    records = [record for ranking, patient in answers for record in _records(ranking, patient, unit)]
    table = pd.DataFrame.from_records(records, columns=list(DTYPES)).astype(DTYPES)
    _check(table, str(path))
    with written_whole(path) as temporary:
        table.to_parquet(temporary, index=False)


def load_rankings(path: Path) -> pd.DataFrame:
    """The table that `save_rankings` wrote, checked.

    Raises:
        HistoseekError: the file is missing, damaged or not such a table.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise HistoseekError(f"{path}: not a readable rankings table ({reason}); search again") from error
    missing = [column for column in DTYPES if column not in table]
    if missing:
        raise HistoseekError(f"{path}: column '{missing[0]}' is missing, expected {', '.join(DTYPES)}; search again")
    table = table[list(DTYPES)].astype(DTYPES)
    _check(table, str(path))
    return table


def _records(ranking: Ranking, patient: str, unit: Unit) -> Iterator[tuple[Any, ...]]:
    if not ranking.hits:
        yield ranking.query_id, patient, -1, "", "", "", -1, -1, float("nan"), float("nan")
    for rank, hit in enumerate(ranking):
        place = (hit.slide_id, hit.patient_id, hit.x, hit.y, hit.distance, hit.score)
        yield ranking.query_id, patient, rank, _hit_id(hit, unit), *place


def _hit_id(hit: Hit, unit: Unit) -> str:
    return hit.slide_id if unit == "slide" else patch_id(hit.slide_id, hit.x, hit.y)


def _check(table: pd.DataFrame, where: str) -> None:
    """Raise HistoseekError naming the first query that breaks a rule of the table."""
    hits = table[table["rank"] >= 0]
    by_query = hits.groupby("query_id", sort=False)
    empty = table[table["rank"] < 0]
    is_twice = empty["query_id"].duplicated() | empty["query_id"].isin(hits["query_id"].unique())
    _refuse(empty, is_twice, where, "stands twice")
    _refuse(
        hits, hits["rank"] != by_query.cumcount(), where, "stands twice, or its ranks are not 0, 1, 2, ... in order"
    )
    _refuse(hits, hits.duplicated(["query_id", "hit_id"]), where, "has the same hit twice")
    _refuse(hits, hits["score"].isna() | hits["distance"].isna(), where, "has a hit whose score or distance is NaN")
    _refuse(hits, by_query["score"].diff() > 0, where, "has scores that rise with the rank")


def _refuse(table: pd.DataFrame, is_wrong: pd.Series, where: str, what: str) -> None:
    if is_wrong.any():
        query = table.loc[is_wrong, "query_id"].iloc[0]
        raise HistoseekError(f"{where}: query {query} {what}; search again")
