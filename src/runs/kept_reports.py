"""The reports of a cohort, for a training and for an index that keeps them, and queries that find them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.data.cohort import Cohort
from src.data.reports import ReportSource
from src.errors import ConfigError
from src.index.folder import REPORTS_FILE, read_manifest
from src.index.slide_reports import no_reports, text_code
from src.interfaces import Code
from src.runs.index_config import is_index

REPORTS = "reports"
_FINDS = ("slides", REPORTS)


def reports_of(cfg: DictConfig, cohort: Cohort) -> pd.Series:
    """The text of each slide that has one, by slide_id; empty with `reports=none`."""
    source = cast(ReportSource, instantiate(cfg.reports, _convert_="all"))
    return source.read(cohort)


def reports_to_keep(cfg: DictConfig, cohort: Cohort, code: Code) -> pd.Series:
    """The reports that an index is to keep; empty where it is built without.

    Raises:
        IncompatibleParts: there are some, and the code has no side for text.
    """
    texts = reports_of(cfg, cohort)
    if len(texts):
        text_code(code)
    return texts


def check_find(cfg: DictConfig, has_query: bool) -> None:
    """Refuse a `query.find` that cannot be answered, before the work of making an index.

    Raises:
        ConfigError: another word, nothing to search with, a gene, or no reports.
        IncompatibleParts: an engine whose vectors are not among those of reports.
    """
    find = cfg.query.find
    if find not in _FINDS:
        raise ConfigError(f"query.find is {find!r}; expected one of {', '.join(_FINDS)}")
    if find != REPORTS:
        return
    if not has_query:
        raise ConfigError("query.find=reports answers a query; give query=FILE or query=WORDS")
    if cfg.query.gene is not None:
        raise ConfigError("query.find=reports: a gene finds slides only; leave out query.gene")
    if not is_index(cfg.index_dir):
        text_code(instantiate(cfg.code, _convert_="all"))
        if cfg.reports._target_.endswith(".NoReports"):
            raise ConfigError(no_reports("this index"))
    elif REPORTS_FILE not in read_manifest(Path(cfg.index_dir))["sha256"]:
        raise ConfigError(no_reports(cfg.index_dir))
