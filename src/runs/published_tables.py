"""Where the tables of published values lie."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from src.errors import ConfigError
from src.eval.published import read_published
from src.runs.cli import CONF

log = logging.getLogger(__name__)


def published_tables(choice: str | None) -> pd.DataFrame:
    """The published values of `published=`; what cannot be read is told, and costs a sweep no other result.

    Args:
        choice: `auto` for experiments/*/published.csv of this repository, a file, or None for none.
    """
    files = sorted((CONF.parent / "experiments").glob("*/published.csv")) if choice == "auto" else [choice or ""]
    try:
        return read_published([Path(file) for file in files if file])
    except ConfigError as error:
        log.error("no published values: %s", error)
        return read_published([])
