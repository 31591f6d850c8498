"""The answer to a query as tables: its hits, its patches, its scales, and what a head predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd

from src.data.cohort import Cohort
from src.data.files import write_text, written_whole
from src.index.significance import Significance
from src.interfaces import Hit, Ranking
from src.runs.query_answer import Answer
from src.runs.query_scales import Scale
from src.runs.searchable import Searchable
from src.runs.several_indexes import COHORT

REPORT = "report"
CHANCE_COLUMNS = ("z", "p", "p_adjusted")
"""How unusual a hit is; missing values where the index has no background."""


def hits_table(ranking: Ranking, significance: Significance | None, labels: pd.DataFrame) -> pd.DataFrame:
    """One row per hit: rank from 0, the fields of `Hit`, z, p, p_adjusted and the labels of its slide.

    Args:
        ranking: best first.
        significance: in the order of the hits.
        labels: by slide_id, from `labels_of`.
    """
    columns = [field.name for field in fields(Hit)]
    hits = pd.DataFrame([asdict(hit) for hit in ranking], columns=columns)
    hits.insert(0, "rank", np.arange(len(hits)))
    for name in CHANCE_COLUMNS:
        hits[name] = np.nan if significance is None else getattr(significance, name)
    return hits.join(labels, on="slide_id")


def with_reports(hits: pd.DataFrame, searchable: Searchable) -> pd.DataFrame:
    """The hits with the column `report`, where reports were searched."""
    if not searchable.finds_reports:
        return hits
    texts = searchable.engine.reports.texts
    return hits.assign(**{REPORT: hits["slide_id"].map(texts)})


def labels_of(cohort: Cohort | None) -> pd.DataFrame:
    """Label columns by slide_id, as text, but for those named as a column of the hits; empty without a cohort."""
    if cohort is None:
        return pd.DataFrame()
    own = ("rank", *(field.name for field in fields(Hit)), *CHANCE_COLUMNS)
    shown = [name for name in cohort.label_columns if name not in own]
    return cohort.table.set_index("slide_id")[shown].map(str, na_action="ignore")


def cohorts_of(origins: Mapping[str, str]) -> pd.DataFrame:
    """By slide_id its cohort, where several are searched as one; else empty."""
    return pd.DataFrame({COHORT: pd.Series(dict(origins))}) if origins else pd.DataFrame()


def ranks_of(answer: Answer) -> pd.DataFrame:
    """By slide_id the rank, from 1, that each part of the query gives it; empty where the query has one part."""
    ranks = {
        f"{name} rank": {hit.slide_id: rank for rank, hit in reversed(list(enumerate(ranking, 1)))}
        for name, ranking in answer.parts.items()
    }
    return pd.DataFrame({name: pd.Series(values, dtype="Int64") for name, values in ranks.items()})


def scales_table(answer: Answer) -> pd.DataFrame:
    """One row per scale: what its first hit is, and whether it is the one that is shown."""
    return pd.DataFrame([_scale_row(scale, scale is answer.shown) for scale in answer.scales])


def patches_table(answer: Answer) -> pd.DataFrame:
    """One row per patch of the query: its image, its box in level-0 pixels of that file, and its attention."""
    tables = []
    for image, patches, weights in zip(
        answer.shown.images, answer.shown.patches, answer.attention_by_image(), strict=True
    ):
        boxes = image.boxes_on_file(patches.coords, patches.size_level0)
        table = pd.DataFrame(boxes, columns=["x", "y", "width", "height"])
        table.insert(0, "image", image.path)
        tables.append(table.assign(attention=np.nan if weights is None else weights))
    return pd.concat(tables, ignore_index=True)


def predictions_table(answer: Answer) -> pd.DataFrame:
    """One row per target: name, kind, class_name and value (the probability of that class, or the number)."""
    rows = [(target.name, target.kind, target.class_name, target.value) for target in answer.predictions]
    return pd.DataFrame(rows, columns=["target", "kind", "class_name", "value"])


def write_tables(folder: Path, hits: pd.DataFrame, answer: Answer) -> None:
    """Write hits.parquet, query_patches.parquet of images, and scales.csv and predictions.csv where there are some."""
    _write_parquet(folder / "hits.parquet", hits)
    if answer.shown.images:
        _write_parquet(folder / "query_patches.parquet", patches_table(answer))
    if len(answer.scales) > 1:
        write_text(folder / "scales.csv", scales_table(answer).to_csv(index=False))
    if answer.predictions:
        write_text(folder / "predictions.csv", predictions_table(answer).to_csv(index=False))


def _scale_row(scale: Scale, is_shown: bool) -> dict[str, object]:
    hits = hits_table(scale.ranking, scale.significance, pd.DataFrame())
    first = hits.iloc[0] if len(hits) else pd.Series(index=hits.columns)
    return {
        "halvings": scale.halvings,
        "patches": len(scale.query.coords),
        "first_hit": first["slide_id"],
        **{name: first[name] for name in ("x", "y", "distance", *CHANCE_COLUMNS)},
        "is_shown": is_shown,
    }


def _write_parquet(path: Path, table: pd.DataFrame) -> None:
    with written_whole(path) as temporary:
        table.to_parquet(temporary, index=False)
