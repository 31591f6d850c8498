"""A query in words: one vector among the features of patches, where the encoder puts both into one space.

Source: Huang et al., "A visual-language foundation model for pathology image analysis using medical Twitter" (PLIP),
Nature Medicine 2023, which finds images by captions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from jaxtyping import Bool
from omegaconf import DictConfig, ListConfig

from src.data.cohorts.folder import IMAGE_SUFFIXES
from src.data.files import write_json
from src.errors import ConfigError, IncompatibleParts
from src.index.codes.learned import weights_digest
from src.index.codes.of_texts import RanksBySummary, TextCode
from src.interfaces import Encoder, Ranking, SlideFeatures, TextEncoder
from src.models.encoders.text import no_text
from src.runs.index_config import is_index
from src.runs.job import Outcome
from src.runs.query_answer import Answer
from src.runs.query_report import show_answer
from src.runs.query_run import ranked
from src.runs.query_scales import Scale
from src.runs.query_where import left_out_rows
from src.runs.searchable import Searchable, open_searchable

log = logging.getLogger(__name__)

_OF_IMAGES = {"mpp": None, "region": None, "halvings": 0}


def text_of(query: DictConfig) -> str | None:
    """The words that are searched for: `query.text`, or what `query.image` says if that is neither file nor file name.

    Args:
        query: the configuration's block of that name.

    Returns:
        None where images are searched for, or nothing.

    Raises:
        ConfigError: empty, words in both keys, or without an image but beside a key that only images have.
    """
    if query.text is not None and query.image is not None and not has_image(query):
        raise ConfigError(f"query.image={query.image!r} is no file, so it is text, and so is query.text; leave one out")
    text = query.text if query.text is not None else _words_in(query.image)
    if text is None:
        return None
    if not str(text).strip():
        raise ConfigError('query.text is empty; say what to search for, as query.text="infiltrating lymphocytes"')
    for key, unset in _OF_IMAGES.items():
        if query[key] != unset and not has_image(query):
            raise ConfigError(f"query.{key} is of images, and the query {str(text)!r} is text; leave one of them out")
    return str(text).strip()


def has_image(query: DictConfig) -> bool:
    """Whether `query.image` names images, and not words."""
    return query.image is not None and _words_in(query.image) is None


def answer_text(cfg: DictConfig, text: str) -> Outcome:
    """Search for words and show the hits."""
    refuse_without_text(cfg, text)
    searchable, n_failed = open_searchable(cfg)
    left_out = left_out_rows(cfg.query, searchable.engine.rows, searchable.cohort)
    shown = searched_text(text, searchable, cfg.k, left_out)
    write_json(Path(cfg.paths.run_dir) / "timing.json", shown.timing)
    show_answer(cfg, Answer.of(shown, [shown], searchable.engine), searchable)
    return Outcome(n_failed_slides=n_failed)


def refuse_without_text(cfg: DictConfig, text: str) -> None:
    """Raise, before the work of making an index, where neither code nor encoder has a side for text, or no weights.

    Raises:
        ConfigError: neither has a side for text.
        WeightsUnavailable: the code that has one is not trained.
    """
    code = instantiate(cfg.code, _convert_="all")
    if not isinstance(code, TextCode):
        _text_encoder(instantiate(cfg.encoder, _convert_="all"), text)
    elif not is_index(cfg.index_dir):
        weights_digest(code)


def searched_text(text: str, searchable: Searchable, k: int, left_out: Bool[np.ndarray, " row"] | None) -> Scale:
    """The `k` best answers to words.

    Raises:
        IncompatibleParts: an engine whose vectors are not among those of texts.
        ConfigError: an encoder without text.
    """
    if isinstance(searchable.engine.code, TextCode):
        return _search_summaries(text, searchable.engine.code, searchable, k, left_out)
    if weights_digest(searchable.engine.code) is not None:
        raise IncompatibleParts("code here projects patches by a trained head, which knows no text; use code=l2")
    started = time.perf_counter()
    features = _text_encoder(searchable.encoder, text).encode_text([text])
    encode_ms = round(1000 * (time.perf_counter() - started), 1)
    log.info("query: text %r", text)
    query = SlideFeatures(text, np.zeros((1, 2), np.int64), features, (1, 1), mpp=None)
    ranking, significance, search_ms = ranked(query, searchable, k, left_out)
    timing = {"encode_ms": encode_ms, "search_ms": search_ms}
    return Scale(0, (), (), query, ranking, significance, timing)


def _words_in(image: str | int | ListConfig | None) -> str | None:
    if image is None or isinstance(image, ListConfig):
        return None
    is_file = Path(str(image)).suffix.lower() in IMAGE_SUFFIXES or Path(str(image)).exists()
    return None if is_file else str(image)


def _text_encoder(encoder: Encoder, text: str) -> TextEncoder:
    if not isinstance(encoder, TextEncoder) or not encoder.has_text:
        raise ConfigError(f"query {text!r} is no file, so it is text; {no_text(encoder.name)}")
    return encoder


def _search_summaries(
    text: str, code: TextCode, searchable: Searchable, k: int, left_out: Bool[np.ndarray, " row"] | None
) -> Scale:
    """The slides, or the reports, that are nearest to the text, where the code has a side for it."""
    nearest = _nearest(searchable)
    started = time.perf_counter()
    vectors = code.encode_text([text])
    encoded = time.perf_counter()
    log.info("query: text %r", text)
    hits = nearest(text, vectors[0], searchable.engine.rows, k, left_out)
    seconds = {"encode_ms": encoded - started, "search_ms": time.perf_counter() - encoded}
    query = SlideFeatures(text, np.zeros((1, 2), np.int64), vectors, (1, 1), mpp=None)
    return Scale(0, (), (), query, hits, None, {name: round(1000 * value, 3) for name, value in seconds.items()})


def _nearest(searchable: Searchable) -> Callable[..., Ranking]:
    """What orders slides, or reports, by their distance to one vector."""
    if searchable.finds_reports:
        return searchable.engine.reports.ranking
    ranking = searchable.engine.ranking
    if not isinstance(ranking, RanksBySummary):
        raise IncompatibleParts(
            "code pathsearch finds slides by words with ranking=barcodes_and_semantics only; leave out ranking="
        )
    return ranking.rank_by_summary
