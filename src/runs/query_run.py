"""One query: images or a slide become patches, codes and a ranking, at one scale or at several."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from omegaconf import DictConfig

from src.data.encoding import encode_patches
from src.data.files import write_json
from src.data.patching import Patcher, Patches
from src.data.progress import tracked
from src.index.significance import Significance
from src.interfaces import Ranking, SlideFeatures
from src.runs.job import Outcome
from src.runs.query_answer import Answer
from src.runs.query_images import QueryImage, opened_images
from src.runs.query_report import show_answer
from src.runs.query_scales import AUTO, Scale, check_halvings, halvings_to_try, most_significant
from src.runs.query_where import left_out_rows
from src.runs.searchable import Searchable, open_searchable

log = logging.getLogger(__name__)


def answer_query(cfg: DictConfig) -> Outcome:
    """Search with the images of `query.image` and show the hits."""
    run_dir = Path(cfg.paths.run_dir)
    with opened_images(cfg.query, run_dir) as images:
        check_halvings(cfg.query.halvings, images)
        searchable, n_failed = open_searchable(cfg)
        left_out = left_out_rows(cfg.query, searchable.engine.rows, searchable.cohort)
        chosen, scales = searched_images(images, cfg.query.halvings, searchable, cfg.k, left_out)
        write_json(run_dir / "timing.json", chosen.timing)
        show_answer(cfg, Answer.of(chosen, scales, searchable.engine), searchable)
    return Outcome(n_failed_slides=n_failed)


def searched_images(
    images: Sequence[QueryImage],
    halvings: int | str,
    searchable: Searchable,
    k: int,
    left_out: Bool[np.ndarray, " row"] | None,
) -> tuple[Scale, list[Scale]]:
    """The scale that answers, and all that were tried.

    Args:
        images: one bag of patches together.
        halvings: as `check_halvings` passed it.
        searchable: what is searched.
        k: answers wanted.
        left_out: rows that are not answered.
    """
    tried = halvings_to_try(halvings, images, [_patcher(image, searchable) for image in images])
    scales = [_search(n, images, searchable, k, left_out) for n in tracked(tried, "scales of the query")]
    return most_significant(scales) if halvings == AUTO else scales[0], scales


def ranked(
    query: SlideFeatures, searchable: Searchable, k: int, left_out: Bool[np.ndarray, " row"] | None
) -> tuple[Ranking, Significance | None, float]:
    """The answer to a query, how unusual its hits are, and the time that the search took, ms."""
    engine, started = searchable.engine, time.perf_counter()
    ranking = (engine.search_reports if searchable.finds_reports else engine.search)(query, k, left_out)
    search_ms = round(1000 * (time.perf_counter() - started), 3)
    return ranking, None if searchable.finds_reports else engine.significance_of(query, ranking), search_ms


def _patcher(image: QueryImage, searchable: Searchable) -> Patcher:
    return searchable.patching.for_query(searchable.manifest["config"]["cohort_kind"], image.slide.is_pyramid)


def _search(
    halvings: int,
    images: Sequence[QueryImage],
    searchable: Searchable,
    k: int,
    left_out: Bool[np.ndarray, " row"] | None,
) -> Scale:
    started = time.perf_counter()
    shown = tuple(image.halved(halvings) for image in images)
    patches, features = zip(*(_encoded(image, searchable) for image in shown), strict=True)
    query = _one_bag(features, shown)
    log.info("query: %s, %d patches, %d halvings", query.slide_id, len(query.coords), halvings)
    encode_ms = round(1000 * (time.perf_counter() - started), 1)
    ranking, significance, search_ms = ranked(query, searchable, k, left_out)
    timing = {"encode_ms": encode_ms, "search_ms": search_ms}
    return Scale(halvings, shown, patches, query, ranking, significance, timing)


def _encoded(image: QueryImage, searchable: Searchable) -> tuple[Patches, SlideFeatures]:
    slide = image.slide
    patches = _patcher(image, searchable).patches(slide)
    _, features, colours = encode_patches(slide, patches, searchable.encoder)
    return patches, SlideFeatures(slide.slide_id, patches.coords, features, patches.size_level0, slide.mpp, colours)


def _one_bag(features: Sequence[SlideFeatures], images: Sequence[QueryImage]) -> SlideFeatures:
    """The patches of all images as those of one slide on which the images lie side by side."""
    first = features[0]
    lefts = np.cumsum([0, *(image.slide.width_px for image in images[:-1])])
    name = first.slide_id if len(features) == 1 else f"{first.slide_id} and {len(features) - 1} more"
    coords = np.concatenate([bag.coords + np.array([left, 0]) for bag, left in zip(features, lefts, strict=True)])
    vectors = np.concatenate([bag.features for bag in features])
    colours = np.concatenate([bag.colours for bag in features])
    return SlideFeatures(name, coords, vectors, first.patch_size_level0, first.mpp, colours)
