"""What `train.py` does: a head learns from features, or a network from patches, as `model=` says."""

from __future__ import annotations

from omegaconf import DictConfig

from src.runs.job import Outcome
from src.runs.train_patches import train_on_patches
from src.runs.train_run import train


def train_chosen(cfg: DictConfig) -> Outcome:
    """Train what the model needs: `patches` of its configuration say that it reads pixels."""
    return train_on_patches(cfg) if "patches" in cfg else train(cfg)
