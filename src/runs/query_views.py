"""The pictures of an answer: the query with its patches, its scales, and every hit."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

from src.data.patching import Patches
from src.data.progress import tracked
from src.eval.report.attention import attention_picture
from src.eval.report.pictures import context_picture, grid_picture, patch_picture, place_picture
from src.eval.report.query import MAX_PICTURED, HitView, QueryPicture, ScaleView
from src.interfaces import Image
from src.runs.query_answer import Answer
from src.runs.query_images import QueryImage
from src.runs.query_scales import Scale
from src.runs.query_tables import CHANCE_COLUMNS, REPORT, scales_table
from src.runs.searchable import Searchable
from src.runs.slide_heat import SlideHeat
from src.runs.slide_pictures import SlidePictures

log = logging.getLogger(__name__)

_QUERY_PX, _OF_MANY_PX, _SCALE_PX = 720, 360, 200


def query_pictures(answer: Answer) -> list[QueryPicture]:
    """Every image of the query with its patches, and their attention where there is a trained head."""
    shown, n_patches = answer.shown, len(answer.shown.query.coords)
    px = _QUERY_PX if len(shown.images) == 1 else _OF_MANY_PX
    return [
        QueryPicture(image.slide.slide_id, _query_picture(image, patches, weights, n_patches, px))
        for image, patches, weights in zip(shown.images, shown.patches, answer.attention_by_image(), strict=True)
    ]


def scale_views(answer: Answer) -> list[ScaleView]:
    """Every scale that was searched, shown by the first image; empty when there was one."""
    if len(answer.scales) == 1:
        return []
    rows = scales_table(answer).to_dict("records")
    return [_scale_view(scale, row) for scale, row in zip(answer.scales, rows, strict=True)]


def hit_views(hits: pd.DataFrame, labels: Sequence[str], answer: Answer, searchable: Searchable) -> list[HitView]:
    """The first hits with their pictures; a heat map where there is a trained head and the slide's features.

    Args:
        hits: from `hits_table`.
        labels: the columns of it that are labels.
        answer: what they answer.
        searchable: what was searched.
    """
    if answer.attention is not None and searchable.features is None:
        log.info("no heat maps of the hits' slides, as the features of the cohort are not at hand")
    slides = SlidePictures(searchable.cohort)
    heat = SlideHeat(searchable.engine.code, None if answer.attention is None else searchable.features)
    rows = hits.head(MAX_PICTURED).to_dict("records")
    return [_hit_view(row, labels, searchable, slides, heat) for row in tracked(rows, "pictures of the hits")]


def _query_picture(
    image: QueryImage,
    patches: Patches,
    weights: Float32[np.ndarray, " patch"] | None,
    n_patches: int,
    px: int,
) -> Image:
    slide = image.slide
    pixels = slide.overview(max(1.0, max(slide.width_px, slide.height_px) / px))
    boxes = np.hstack([patches.coords, np.broadcast_to(patches.size_level0, patches.coords.shape)])
    downsample = slide.width_px / pixels.shape[1]
    if weights is None:
        return grid_picture(pixels, boxes, downsample)
    return attention_picture(pixels, boxes, weights, n_patches, downsample)


def _scale_view(scale: Scale, row: dict[Hashable, Any]) -> ScaleView:
    return ScaleView(
        halvings=scale.halvings,
        picture=_query_picture(scale.images[0], scale.patches[0], None, len(scale.query.coords), _SCALE_PX),
        n_patches=len(scale.query.coords),
        first_hit=scale.ranking.hits[0].slide_id if len(scale.ranking) else "",
        distance=float(row["distance"]),
        z=float(row["z"]),
        p=float(row["p"]),
        is_shown=bool(row["is_shown"]),
    )


def _hit_view(
    row: dict[Hashable, Any], labels: Sequence[str], searchable: Searchable, slides: SlidePictures, heat: SlideHeat
) -> HitView:
    slide_id, x, y = str(row["slide_id"]), int(row["x"]), int(row["y"])
    size = searchable.engine.patch_size_of(slide_id)
    place, scores = np.array([[x, y, *size]]), heat.of(slide_id)
    with slides.opened(slide_id) as slide:
        return HitView(
            rank=int(row["rank"]) + 1,
            slide_id=slide_id,
            patient_id=str(row["patient_id"]),
            x=x,
            y=y,
            distance=float(row["distance"]),
            score=float(row["score"]),
            labels={name: str(row[name]) for name in labels if pd.notna(row[name])},
            patch=patch_picture(slide, x, y, size),
            context=context_picture(slide, x, y, size),
            slide=place_picture(slide, place),
            heat=None if scores is None else place_picture(slide, place, heat=scores),
            report=row[REPORT] if searchable.finds_reports else None,
            **{name: float(row[name]) for name in CHANCE_COLUMNS if pd.notna(row[name])},
        )
