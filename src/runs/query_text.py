"""A query in words: one vector among the features of patches, where the encoder puts both into one space.

Source: Huang et al., "A visual-language foundation model for pathology image analysis using medical Twitter" (PLIP),
Nature Medicine 2023, which finds images by captions.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

from src.data.cohorts.folder import IMAGE_SUFFIXES
from src.data.files import write_json
from src.errors import ConfigError, IncompatibleParts
from src.index.codes.learned import weights_digest
from src.index.codes.of_texts import RanksBySummary, TextCode
from src.interfaces import Encoder, SlideFeatures, TextEncoder
from src.models.encoders.text import no_text
from src.runs.job import Outcome
from src.runs.query_answer import Answer
from src.runs.query_report import show_answer
from src.runs.query_run import ranked, rows_of_patient
from src.runs.query_scales import Scale
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
        ConfigError: empty, given beside an image, or beside a key that only images have.
    """
    text = query.text if query.text is not None else _words_in(query.image)
    if text is None:
        return None
    if query.text is not None and query.image is not None:
        raise ConfigError("query.text and query.image are both given; search for one, then for the other")
    if not str(text).strip():
        raise ConfigError('query.text is empty; say what to search for, as query.text="infiltrating lymphocytes"')
    for key, unset in _OF_IMAGES.items():
        if query[key] != unset:
            raise ConfigError(f"query.{key} is of images, and the query {str(text)!r} is text; leave one of them out")
    return str(text).strip()


def answer_text(cfg: DictConfig, text: str) -> Outcome:
    """Search for words and show the hits."""
    if not isinstance(instantiate(cfg.code, _convert_="all"), TextCode):
        _text_encoder(instantiate(cfg.encoder, _convert_="all"), text)  # before the work of making an index
    searchable, n_failed = open_searchable(cfg)
    shown = _search(text, searchable, cfg)
    write_json(Path(cfg.paths.run_dir) / "timing.json", shown.timing)
    show_answer(cfg, Answer.of(shown, [shown], searchable.engine), searchable)
    return Outcome(n_failed_slides=n_failed)


def _words_in(image: str | int | ListConfig | None) -> str | None:
    if image is None or isinstance(image, ListConfig):
        return None
    is_file = Path(str(image)).suffix.lower() in IMAGE_SUFFIXES or Path(str(image)).exists()
    return None if is_file else str(image)


def _text_encoder(encoder: Encoder, text: str) -> TextEncoder:
    if not isinstance(encoder, TextEncoder) or not encoder.has_text:
        raise ConfigError(f"query {text!r} is no file, so it is text; {no_text(encoder.name)}")
    return encoder


def _search(text: str, searchable: Searchable, cfg: DictConfig) -> Scale:
    if isinstance(searchable.engine.code, TextCode):
        return _search_summaries(text, searchable, cfg)
    if weights_digest(searchable.engine.code) is not None:
        raise IncompatibleParts("code here projects patches by a trained head, which knows no text; use code=l2")
    started = time.perf_counter()
    features = _text_encoder(searchable.encoder, text).encode_text([text])
    encode_ms = round(1000 * (time.perf_counter() - started), 1)
    log.info("query: text %r", text)
    query = SlideFeatures(text, np.zeros((1, 2), np.int64), features, (1, 1), mpp=None)
    left_out = rows_of_patient(cfg.query.patient, searchable.engine.rows)
    ranking, significance, search_ms = ranked(query, searchable, cfg.k, left_out)
    timing = {"encode_ms": encode_ms, "search_ms": search_ms}
    return Scale(0, (), (), query, ranking, significance, timing)


def _search_summaries(text: str, searchable: Searchable, cfg: DictConfig) -> Scale:
    """The slides whose summaries are nearest to the text, where the code has a side for it; the encoder has none."""
    code, ranking, rows = searchable.engine.code, searchable.engine.ranking, searchable.engine.rows
    if not isinstance(code, TextCode) or not isinstance(ranking, RanksBySummary):
        raise IncompatibleParts(
            "code pathsearch finds slides by words with ranking=barcodes_and_semantics only; leave out ranking="
        )
    started = time.perf_counter()
    vectors = code.encode_text([text])
    encoded = time.perf_counter()
    log.info("query: text %r", text)
    hits = ranking.rank_by_summary(text, vectors[0], rows, cfg.k, rows_of_patient(cfg.query.patient, rows))
    seconds = {"encode_ms": encoded - started, "search_ms": time.perf_counter() - encoded}
    query = SlideFeatures(text, np.zeros((1, 2), np.int64), vectors, (1, 1), mpp=None)
    return Scale(0, (), (), query, hits, None, {name: round(1000 * value, 3) for name, value in seconds.items()})
