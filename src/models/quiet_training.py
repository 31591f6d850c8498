"""A short training inside another run: no folder, no logger, no checkpoints but the last weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.seed import isolate_rng

from src.data.progress import progress_bar

for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)

warnings.filterwarnings("ignore", message=".*does not have many workers.*")
warnings.filterwarnings("ignore", message=".*no `val_dataloader`.*")
# Lightning calls torch's pytree by an old name.
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")


def train_quietly(
    make: Callable[[], lightning.LightningModule],
    data: lightning.LightningDataModule,
    n_steps: int,
    seed: int,
    path: Path,
    name: str,
) -> None:
    """Train a new network and write its weights and settings to `path`; the caller's random numbers stay as they were.

    Args:
        make: the network with its first weights, called once the seed is set.
        data: what it learns from.
        n_steps: steps of the optimiser.
        seed: of the weights and of whatever else is random.
        path: a torch file of `state_dict` and `hyper_parameters`, tensors and plain values only.
        name: of the network, for the progress bar.
    """
    with isolate_rng(), progress_bar(f"training, {name}", n_steps) as step:
        lightning.seed_everything(seed, verbose=False)
        model = make()
        _trainer(n_steps, step).fit(model, data)
    state: Mapping[str, Any] = {name: value.cpu() for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": dict(model.hparams)}, path)


def _trainer(n_steps: int, step: Callable[[], None]) -> lightning.Trainer:
    return lightning.Trainer(
        max_steps=n_steps,
        max_epochs=-1,
        devices=1,
        limit_val_batches=0,
        callbacks=[_Steps(step)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


class _Steps(Callback):
    """Moves a progress bar."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step

    def on_train_batch_end(self, *_: Any) -> None:
        self._step()
