"""Build an index: a cohort becomes features on disk and an index folder. `python build_index.py --help`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from src.runs.cli import CONF, run_script
from src.runs.job import run_job


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="build_index")
def main(cfg: DictConfig) -> float | None:
    """Run the composed configuration."""
    from src.runs.build_run import build_index

    return run_job(cfg, build_index)


if __name__ == "__main__":
    run_script("build_index", main)
