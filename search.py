"""Search: one query against an index, or a whole retrieval protocol over a cohort. `python search.py --help`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from src.runs.cli import CONF, run_script
from src.runs.job import run_job


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="search")
def main(cfg: DictConfig) -> float | None:
    """Run the composed configuration."""
    from src.runs.search_run import search

    return run_job(cfg, search)


if __name__ == "__main__":
    run_script("search", main)
