"""What the trainings of heads and of networks share: trainer, fit, resume, the chosen epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from omegaconf import DictConfig, open_dict

from src.errors import ConfigError
from src.models.resume import History, read_checkpoint, refuse_other_settings
from src.runs.loggers import Logger


def check_resume(cfg: DictConfig, settings: Mapping[str, Any]) -> None:
    """Raise ConfigError when `ckpt_path` was trained with other settings, or for as many epochs as are asked for."""
    checkpoint = read_checkpoint(Path(cfg.ckpt_path))
    refuse_other_settings(checkpoint, settings)
    n_epochs, max_epochs = checkpoint["epoch"] + 1, cfg.trainer.get("max_epochs")
    if max_epochs is not None and 0 <= max_epochs < n_epochs:
        raise ConfigError(f"ckpt_path: {n_epochs} epochs are done, trainer.max_epochs is {max_epochs}; raise it")


def make_trainer(cfg: DictConfig, history: History, loggers: Sequence[Logger]) -> Trainer:
    """The trainer of the configuration with its callbacks."""
    callbacks = [instantiate(node, _convert_="all") for node in (cfg.get("callbacks") or {}).values()]
    trainer: Trainer = instantiate(cfg.trainer, _partial_=True, _convert_="all")(
        callbacks=[*callbacks, history], logger=list(loggers)
    )
    return trainer


def one_batch_per_step(cfg: DictConfig) -> DictConfig:
    """conf/trainer counts bags of one slide; a batch of patches or slides is a step of its own."""
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.trainer.accumulate_grad_batches = 1
    return cfg


def fit(trainer: Trainer, model: LightningModule, data: LightningDataModule, ckpt_path: str | None) -> None:
    """Fit from the start, or from a checkpoint.

    Raises:
        ConfigError: callbacks that wait for what is not measured.
    """
    try:
        trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    except MisconfigurationException as error:  # such as a monitored metric that val has no slides for
        raise ConfigError(f"trainer or callbacks: {str(error).partition(': [')[0].splitlines()[0]}") from error


def best_checkpoint(trainer: Trainer) -> Path | None:
    """Path of the best epoch; None when none was written, as in a fast_dev_run: then the last weights stand."""
    path = getattr(trainer.checkpoint_callback, "best_model_path", "")
    return Path(path) if path else None


def optimized(metrics: Mapping[str, float], name: str | None) -> float | None:
    """The metric that a sweeper asked for.

    Raises:
        ConfigError: it was not measured.
    """
    if name is None:
        return None
    if name not in metrics:
        raise ConfigError(f"optimized_metric={name} was not measured; choose one of {', '.join(sorted(metrics))}")
    return metrics[name]
