"""Train: a head learns from the bags of a cohort. `python train.py --help`."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from src.runs.cli import CONF, run_script
from src.runs.job import run_job


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Run the composed configuration."""
    from src.runs.train_choice import train_chosen

    return run_job(cfg, train_chosen)


if __name__ == "__main__":
    run_script("train", main)
