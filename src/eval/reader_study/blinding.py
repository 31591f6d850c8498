"""Which hits are shown to readers, and the key that says afterwards whose they were.

Source: HERE (bioRxiv 10.1101/2025.10.25.684566): every method answers a query with five slides, each shown by its
nearest patch; methods are masked. Its shares of scores (12.9 %, 45.5 %, 58.4 %) are 13, 46 and 59 of the 101 queries,
so an answer of five slides is taken to have one score; to score every hit is the other choice.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from src.data.files import digest
from src.errors import ConfigError

Rated = Literal["answers", "hits"]
"""What has a score: the five slides of one method together, or each slide."""

KEY_DTYPES = {
    "item": "str",
    "query": "int64",
    "answer": "str",
    "place": "int64",
    "method": "str",
    "query_id": "str",
    "query_patient": "str",
    "hit_slide": "str",
    "x": "int64",
    "y": "int64",
}
"""Columns of the key, one row per hit shown: what is scored as `item`, `place` from 1, `x`, `y` in level-0 pixels."""


def blind(
    rankings: Mapping[str, pd.DataFrame],
    rated: Rated = "answers",
    n_hits: int = 5,
    n_queries: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """The key of a study: the first slides of each method for each query, methods named by letters.

    Letters are drawn anew for each query. A hit is a slide's nearest patch, also where patches were ranked. An item's
    name starts with six digits of the study, so that no score can be counted for another one.

    Args:
        rankings: method to its rows of `rankings.parquet`; only queries that all methods were asked are kept.
        rated: what one item is.
        n_hits: slides per query and method.
        n_queries: how many queries are drawn; all when None.
        seed: of the letters and of the draw.

    Returns:
        Columns as in `KEY_DTYPES`, by query, answer and place.

    Raises:
        ConfigError: fewer than two methods or more than 26, no query that all were asked, or a number below 1.
    """
    _check(rankings, n_hits, n_queries)
    rng = np.random.default_rng(seed)
    queries = _draw(_common_queries(rankings), n_queries, rng)
    letters = _letters(queries, list(rankings), rng)
    shown = [_first_slides(table, n_hits).assign(method=method) for method, table in rankings.items()]
    key = pd.concat(shown).merge(letters, on=["query_id", "method"]).sort_values(["query", "answer", "place"])
    key["item"] = _items(key, rated, digest({"seed": seed, "rated": rated, "key": key.to_csv(index=False)})[:6])
    return key[list(KEY_DTYPES)].astype(KEY_DTYPES).reset_index(drop=True)


def _check(rankings: Mapping[str, pd.DataFrame], n_hits: int, n_queries: int | None) -> None:
    if not 2 <= len(rankings) <= len(string.ascii_uppercase):
        raise ConfigError(f"a reader study compares 2 to 26 methods, {len(rankings)} came")
    for name, number in (("n_hits", n_hits), ("n_queries", n_queries)):
        if number is not None and number < 1:
            raise ConfigError(f"{name} is {number}; it must be at least 1")


def _common_queries(rankings: Mapping[str, pd.DataFrame]) -> list[str]:
    """Queries that every method was asked, in the order of the first one's rankings."""
    asked = [list(dict.fromkeys(table["query_id"])) for table in rankings.values()]
    common = [query for query in asked[0] if all(query in others for others in asked[1:])]
    if not common:
        raise ConfigError(f"no query was asked of all of {', '.join(rankings)}; give runs over the same cohort")
    return common


def _draw(queries: Sequence[str], n_queries: int | None, rng: np.random.Generator) -> list[str]:
    if n_queries is None or n_queries >= len(queries):
        return list(queries)
    return [queries[place] for place in sorted(rng.choice(len(queries), n_queries, replace=False))]


def _letters(queries: Sequence[str], methods: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """Which letter each method has in each query, queries numbered from 1."""
    alphabet = list(string.ascii_uppercase[: len(methods)])
    rows = [
        (query, number, method, letter)
        for number, query in enumerate(queries, start=1)
        for method, letter in zip(methods, rng.permutation(alphabet).tolist(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["query_id", "query", "method", "answer"])


def _first_slides(table: pd.DataFrame, n_hits: int) -> pd.DataFrame:
    """The first slides of each query, in order, each by the patch of it that came nearest."""
    hits = table[table["rank"] >= 0]
    order = hits.drop_duplicates(["query_id", "hit_slide"])[["query_id", "hit_slide"]]
    nearest = hits.sort_values("distance", kind="stable").drop_duplicates(["query_id", "hit_slide"])
    slides = order.merge(nearest, on=["query_id", "hit_slide"], how="left")
    slides["place"] = slides.groupby("query_id").cumcount() + 1
    return slides[slides["place"] <= n_hits]


def _items(key: pd.DataFrame, rated: Rated, study: str) -> list[str]:
    places = key["place"].astype(str) if rated == "hits" else ""
    return list(f"{study}-" + key["query"].map("{:03d}".format) + key["answer"] + places)
