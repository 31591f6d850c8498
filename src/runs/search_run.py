"""What `search.py` does: answer one query, run a whole protocol, or measure a finished run again."""

from __future__ import annotations

from omegaconf import DictConfig

from src.errors import ConfigError
from src.runs.index_config import chosen_groups, is_index, with_index_config
from src.runs.job import Outcome
from src.runs.kept_reports import check_find
from src.runs.protocol_run import measure_again, run_protocol
from src.runs.query_fused import answer_fused
from src.runs.query_run import answer_query
from src.runs.query_text import answer_text, has_image, text_of
from src.runs.several_indexes import are_several, with_first_config


def search(cfg: DictConfig) -> Outcome:
    """Choose by what was given: `rankings`, `query.image`, `query.text`, `query.gene`, several of these, or none."""
    if cfg.rankings:
        return measure_again(cfg)
    if are_several(cfg.index_dir):
        cfg = with_first_config(cfg)
    elif is_index(cfg.index_dir):
        cfg = with_index_config(cfg)
    elif cfg.index_dir and "data" not in chosen_groups():
        raise ConfigError(
            f"{cfg.index_dir} holds no index; build it with build_index.py, or name the cohort with data="
        )
    text = text_of(cfg.query)
    check_find(cfg, has_query=text is not None or cfg.query.image is not None)
    if cfg.query.gene is not None or (text is not None and has_image(cfg.query)):
        return answer_fused(cfg, text)
    if text is not None:
        return answer_text(cfg, text)
    if cfg.query.image is not None:
        return answer_query(cfg)
    if are_several(cfg.index_dir):
        raise ConfigError("index_dir names several indexes, which are asked by a query; a protocol takes one of them")
    return run_protocol(cfg)
