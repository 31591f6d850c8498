"""What `train.py` does: a head or a hash encoder learns from features, or a network from patches, as `model=` says."""

from __future__ import annotations

from omegaconf import DictConfig

from src.runs.job import Outcome
from src.runs.train_hash_encoder import train_hash_encoder
from src.runs.train_patches import train_on_patches
from src.runs.train_run import train


def train_chosen(cfg: DictConfig) -> Outcome:
    """Train what the model needs: its configuration has `patches` of pixels, `halves` of slides, or bags."""
    if "patches" in cfg:
        return train_on_patches(cfg)
    return train_hash_encoder(cfg) if "halves" in cfg else train(cfg)
