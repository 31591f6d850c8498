"""The patch of a query and the patch of its hit, as the encoder saw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from hydra.utils import instantiate

from src.data.feature_folder import FeatureFolder
from src.data.slide import open_slide
from src.errors import ConfigError
from src.interfaces import Image
from src.runs.reader_study.finished_run import FinishedRun


@dataclass(frozen=True)
class PatchOfPair:
    """One patch, its slide and its label."""

    slide_id: str
    x: int
    y: int
    label: str
    pixels: Image


@dataclass(frozen=True)
class Pair:
    """A query's patch and the hit's that came nearest."""

    query: PatchOfPair
    hit: PatchOfPair


def find_pair(run: FinishedRun, store: FeatureFolder, query_id: str | None, hit_id: str | None) -> Pair:
    """The pair of a finished run.

    A query of many patches is shown by the one whose features have the largest cosine with those of the hit's patch.

    Args:
        run: the rankings and the cohort.
        store: the features of the cohort.
        query_id: a query of the run; None for its first.
        hit_id: one of the query's hits; None for the nearest.

    Raises:
        ConfigError: the run has no such query or hit.
    """
    row = _row(run, query_id, hit_id)
    asked, _, place = str(row["query_id"]).partition("@")
    hit_slide, x, y = str(row["hit_slide"]), int(row["x"]), int(row["y"])
    hit_features = store.load(hit_slide)
    at = np.flatnonzero((hit_features.coords == [x, y]).all(axis=1))[0]
    query = store.load(asked)
    cosine = _unit(query.features) @ _unit(hit_features.features[at : at + 1])[0]
    query_x, query_y = map(int, place.split(",")) if place else query.coords[int(cosine.argmax())].tolist()
    return Pair(_patch(run, asked, query_x, query_y), _patch(run, hit_slide, x, y))


def _row(run: FinishedRun, query_id: str | None, hit_id: str | None) -> pd.Series:
    hits = run.rankings[run.rankings["rank"] >= 0]
    query_id = str(hits["query_id"].iloc[0]) if query_id is None else query_id
    of_query = hits[hits["query_id"] == query_id]
    if of_query.empty:
        raise ConfigError(f"{run.folder}: no query {query_id} with a hit; the first one is {hits['query_id'].iloc[0]}")
    found = of_query if hit_id is None else of_query[of_query["hit_id"] == hit_id]
    if found.empty:
        first = ", ".join(of_query["hit_id"].head(3))
        raise ConfigError(f"{run.folder}: query {query_id} has no hit {hit_id}; its first are {first}")
    return found.iloc[0]


def _patch(run: FinishedRun, slide_id: str, x: int, y: int) -> PatchOfPair:
    record = next(record for record in run.cohort.records() if record.slide_id == slide_id)
    slide = open_slide(record.path, slide_id, record.mpp, run.cohort.default_mpp)
    try:
        patches = instantiate(run.config.patching, _convert_="all").of(run.cohort.kind).patches(slide)
        pixels = slide.read(x, y, patches.size_px, patches.mpp)
    finally:
        slide.close()
    return PatchOfPair(slide_id, x, y, str(run.cohort.labels(run.config.eval.label)[slide_id]), pixels)


def _unit(features: np.ndarray) -> np.ndarray:
    unit: np.ndarray = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return unit
