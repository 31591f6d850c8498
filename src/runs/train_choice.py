"""What `train.py` does: a head, a hash encoder or PathSearch learns from features, or a network from patches."""

from __future__ import annotations

from omegaconf import DictConfig

from src.runs.job import Outcome
from src.runs.train_hash_encoder import train_hash_encoder
from src.runs.train_patches import train_on_patches
from src.runs.train_pathsearch import train_pathsearch
from src.runs.train_run import train


def train_chosen(cfg: DictConfig) -> Outcome:
    """Train what the model needs: its configuration has `patches`, `pairs` of slides and reports, `halves`, or bags."""
    if "patches" in cfg:
        return train_on_patches(cfg)
    if "pairs" in cfg:
        return train_pathsearch(cfg)
    return train_hash_encoder(cfg) if "halves" in cfg else train(cfg)
