"""One query of several parts: images, words and a gene, each searched for, the rankings fused into one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from omegaconf import DictConfig

from src.data.files import write_json
from src.index.fusion import Fusion
from src.interfaces import Ranking, SlideFeatures
from src.runs.job import Outcome
from src.runs.plain import plain
from src.runs.query_answer import Answer
from src.runs.query_images import opened_images
from src.runs.query_report import show_answer
from src.runs.query_run import searched_images
from src.runs.query_scales import Scale, check_halvings
from src.runs.query_text import has_image, refuse_without_text, searched_text
from src.runs.query_where import left_out_rows
from src.runs.searchable import Searchable, open_searchable

log = logging.getLogger(__name__)

Excluded = Bool[np.ndarray, " row"] | None


def answer_fused(cfg: DictConfig, text: str | None) -> Outcome:
    """Search for each part of the query among all slides, and show the hits of all of them together.

    Args:
        cfg: the composed configuration.
        text: the words of the query, if there are some.
    """
    fusion = Fusion(**plain(cfg.query.fusion))
    with ExitStack() as stack:
        images = stack.enter_context(opened_images(cfg.query, Path(cfg.paths.run_dir))) if has_image(cfg.query) else ()
        if images:
            check_halvings(cfg.query.halvings, images)
        if text is not None:
            refuse_without_text(cfg, text)
        searchable, n_failed = open_searchable(cfg)
        left_out = left_out_rows(cfg.query, searchable.engine.rows, searchable.cohort)
        n_all, parts = _n_answers(searchable), {}
        if images:
            parts["image"] = searched_images(images, cfg.query.halvings, searchable, n_all, left_out)[0]
        if text is not None:
            parts["text"] = searched_text(text, searchable, n_all, left_out)
        if cfg.query.gene is not None:
            parts["gene"] = _searched_gene(str(cfg.query.gene), searchable, n_all, left_out)
        shown = _fused(parts, fusion, cfg.k)
        write_json(Path(cfg.paths.run_dir) / "timing.json", shown.timing)
        rankings = {name: part.ranking for name, part in parts.items()} if len(parts) > 1 else {}
        show_answer(cfg, replace(Answer.of(shown, [shown], searchable.engine), parts=rankings), searchable)
    return Outcome(n_failed_slides=n_failed)


def _n_answers(searchable: Searchable) -> int:
    """As many as there can be, since a slide that a ranking does not name gets nothing from it."""
    rows = searchable.engine.rows
    return len(rows.slide_ids) if searchable.engine.ranking.ranks == "slides" else len(rows)


def _searched_gene(gene: str, searchable: Searchable, k: int, left_out: Excluded) -> Scale:
    log.info("query: gene %s", gene)
    ranking = searchable.engine.predictions.ranking(gene, searchable.engine.rows, k, left_out)
    query = SlideFeatures(gene, np.zeros((0, 2), np.int64), np.zeros((0, 1), np.float32), (1, 1), mpp=None)
    return Scale(0, (), (), query, ranking, None, {})


def _fused(parts: Mapping[str, Scale], fusion: Fusion, k: int) -> Scale:
    """The first part, with the hits of all."""
    first = next(iter(parts.values()))
    name = ", ".join(part.query.slide_id for part in parts.values())
    timing = {f"{part}_{step}": ms for part, scale in parts.items() for step, ms in scale.timing.items()}
    if len(parts) == 1:
        return replace(first, ranking=Ranking(first.ranking.query_id, first.ranking.hits[:k]))
    fused = fusion.fuse(name, {part: scale.ranking for part, scale in parts.items()}, k)
    query = replace(first.query, slide_id=name)
    return replace(first, query=query, ranking=fused, significance=None, timing=timing)
