"""What lets a stopped training go on as if it had not been stopped, in the same folder or in another one."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from src.errors import ConfigError


class History(Callback):
    """The metrics of every epoch so far, those before a resume included.

    Attributes:
        epochs: the metrics at the end of each epoch.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the epoch; callbacks that save a checkpoint run later, so it is in there."""
        self.epochs.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    def state_dict(self) -> dict[str, Any]:
        """What the checkpoint keeps."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.epochs = [dict(row) for row in state_dict["epochs"]]


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best epoch even when the training goes on in another folder.

    Differs from ModelCheckpoint, which forgets the best score there, so that the first epoch after a resume would
    count as the best.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        is_best_there = Path(state_dict["best_model_path"]).is_file()
        super().load_state_dict({**state_dict, "dirpath": self.dirpath} if is_best_there else state_dict)


class LastCheckpoint(ModelCheckpoint):
    """Writes every epoch to last.ckpt, so that a stopped training repeats one epoch at most.

    Differs from `ModelCheckpoint(save_last=True)`, which writes it only when the best epoch changes. List it behind the
    checkpoint of the best epoch, whose state it holds.

    Args:
        dirpath: folder of last.ckpt.
    """

    def __init__(self, dirpath: str | Path) -> None:
        super().__init__(dirpath, filename="last", monitor=None, save_top_k=1, enable_version_counter=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """There is nothing to go on from."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A Lightning checkpoint of plain values and tensors.

    Raises:
        ConfigError: missing, damaged, or holding anything else.
    """
    if not path.is_file():
        raise ConfigError(f"ckpt_path: {path} is no file; give a run's checkpoints/last.ckpt, or null to start anew")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ConfigError(f"ckpt_path: {path} is damaged ({type(error).__name__}); give another, or null") from error
    if not isinstance(checkpoint, dict) or "hyper_parameters" not in checkpoint:
        raise ConfigError(f"ckpt_path: {path} is no checkpoint of a training run; give a run's checkpoints/last.ckpt")
    return checkpoint


def refuse_other_settings(checkpoint: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise ConfigError when a checkpoint was trained with another head, task or optimiser than is asked for."""
    before = checkpoint["hyper_parameters"]
    changed = [
        f"{key} was {before.get(key)}, is {value}" for key, value in settings.items() if before.get(key) != value
    ]
    if changed:
        raise ConfigError(f"ckpt_path: {'; '.join(changed)}; restore these settings, or start anew with ckpt_path=null")
