"""Ask for held-out HERE101 regions by what was written of them: is one of the right site or cancer among the first 5?

    python experiments/pathsearch_here101/ask.py DIR RUN [RUN ...]

DIR holds manifest.xlsx and png/, each RUN is a run's folder of train.py experiment=pathsearch_here101. A query is the
text of a region of RUN's test cases, or the region; its answers are all regions, or their reports, of other cases.
Those that no other case could answer are left out.
"""

from __future__ import annotations

import sys
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from src.data.cohorts.here101 import here101_cohort
from src.models.pathsearch.trained import TrainedPathSearch, read_pathsearch

TEXTS = {"key_point": ["key_point"], "diagnosis": ["diagnosis"], "both": ["diagnosis", "key_point"]}
JUDGED = ("site", "cancer_type")
FIRST = 5


def asked(run: Path, table: pd.DataFrame) -> pd.DataFrame:
    """One line per query, text and judged column: whether the first and the first 5 hold a right one, and chance."""
    with np.load(run / "vectors.npz", allow_pickle=False) as file:
        parts = {name: file[name] for name in file.files}
    splits = ("train", "val", "test")
    slide_ids, slides, reports = (
        np.concatenate([parts[f"{split}/{name}"] for split in splits]) for name in ("slide_id", "slides", "reports")
    )
    answers, trained = table.loc[slide_ids], read_pathsearch(run / "pathsearch.pth")
    rows = []
    for slide_id in parts["test/slide_id"]:
        query = table.loc[slide_id]
        place = list(slide_ids).index(slide_id)
        vectors = {
            name: vector for name, columns in TEXTS.items() if (vector := _vector(query, columns, trained)) is not None
        }
        for name, vector in {**vectors, "image": slides[place]}.items():
            for answer, database in (("slides", slides), ("reports", reports)):
                order = np.argsort(-(database @ vector), kind="stable")
                rows += _judged(name, answer, query, answers.iloc[order])
    return pd.DataFrame(rows)


def _vector(query: pd.Series, columns: list[str], trained: TrainedPathSearch) -> np.ndarray | None:
    texts = [str(query[column]) for column in columns if pd.notna(query[column])]
    return trained.text_vectors([". ".join(texts)])[0] if len(texts) == len(columns) else None


def _judged(name: str, answer: str, query: pd.Series, ranked: pd.DataFrame) -> list[dict[str, object]]:
    others = ranked[ranked["patient_id"] != query["patient_id"]]
    rows = []
    for column in JUDGED:
        is_right = (others[column] == query[column]).to_numpy()
        n, n_right = len(others), int(is_right.sum())
        if pd.notna(query[column]) and n_right:
            chance = 1 - comb(n - n_right, FIRST) / comb(n, FIRST)
            found = {"first": is_right[0], "first 5": is_right[:FIRST].any(), "chance": n_right / n, "chance 5": chance}
            rows.append({"query": name, "answer": answer, "judged": column, "case": query["patient_id"], **found})
    return rows


def main() -> None:
    """Print the shares over the queries of all runs, and their deviation from run to run."""
    folder, *runs = map(Path, sys.argv[1:])
    table = here101_cohort(folder).table.set_index("slide_id", drop=False)
    found = pd.concat([asked(run, table).assign(run=run.name) for run in runs])
    keys, values = ["judged", "query", "answer"], ["first", "chance", "first 5", "chance 5"]
    numbers = found.astype(dict.fromkeys(values, float))
    shares = numbers.groupby(keys)[values].mean()
    deviation = numbers.groupby([*keys, "run"])["first 5"].mean().groupby(keys).std().rename("deviation of first 5")
    counts = numbers.groupby(keys).agg(queries=("first", "size"), cases=("case", "nunique"))
    print(shares.join(deviation).join(counts).round(3).to_string())


if __name__ == "__main__":
    main()
