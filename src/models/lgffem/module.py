"""Training of LGFFEM: descriptors of one class are drawn to the centres of their class.

Source: see `aggregators`; train_in1k.py, train_pannuke.py and train_kimia.py for the strategies A, B and C, which each
start from the fusion layers and the head of the one before, with centres of their own.
Differs from the code: gradients are clipped after mixed precision has unscaled them, the rate counts from the first
batch, and the frozen backbone stays as in evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from src.errors import ConfigError
from src.models.bags import seed_of
from src.models.lgffem.design import LgffemDesign
from src.models.lgffem.loss import sub_center_arcface
from src.models.patch_data import Patch

_LOSS_DECAY = 0.01  # of AdamW where nothing is said


class LgffemLearner(lightning.LightningModule):
    """Learns from patches with a class.

    Args:
        n_classes: of the label that is learnt.
        design: of the network.
        margin_degrees: of the loss.
        max_margin_degrees: larger margins are refused.
        scale: of the loss.
        sub_centers: of each class.
        official_scale_is_margin: see `loss`.
        lr: of AdamW at the start of each cosine.
        min_lr: at its end.
        restart_epochs: length of a cosine.
        weight_decay: of fusion layers and head.
        amsgrad: of AdamW, for fusion layers and head.
        loss_lr: of the centres, always the same.
        clip_norm: of the gradient of fusion layers and head.
        mean: of each channel, as the backbone expects it.
        std: of each channel.
        start_from: weights of an LGFFEM to go on from, without its backbone and centres; None starts anew.
        seed: of the dropout.

    Raises:
        ConfigError: a setting out of range.
    """

    _mean: Tensor
    _std: Tensor

    headline = "accuracy"
    weights_key = "encoder.checkpoint"
    keeps = "best"

    def __init__(
        self,
        n_classes: int,
        design: LgffemDesign,
        margin_degrees: float,
        max_margin_degrees: float,
        scale: float,
        sub_centers: int,
        official_scale_is_margin: bool,
        lr: float,
        min_lr: float,
        restart_epochs: int,
        weight_decay: float,
        amsgrad: bool,
        loss_lr: float,
        clip_norm: float,
        mean: Sequence[float],
        std: Sequence[float],
        start_from: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= min_lr <= lr or min(lr, loss_lr, clip_norm) <= 0 or restart_epochs < 1:
            raise ConfigError(
                f"model: lr is {lr}, min_lr {min_lr}, loss_lr {loss_lr}, clip_norm {clip_norm}, restart_epochs "
                f"{restart_epochs}; expected min_lr from 0 to lr, others above 0"
            )
        self._loss_settings = (margin_degrees, scale, sub_centers, max_margin_degrees, official_scale_is_margin)
        self.loss = sub_center_arcface(n_classes, design.dim, *self._loss_settings)
        network = design.pretrained()
        self.network = network if start_from is None else network.load(Path(start_from), with_backbone=False)
        self.lr, self.min_lr, self.restart_epochs = lr, min_lr, restart_epochs
        self.seed = seed
        self.weight_decay, self.amsgrad, self.loss_lr, self.clip_norm = weight_decay, amsgrad, loss_lr, clip_norm
        self.register_buffer("_mean", torch.tensor(list(mean))[:, None, None], persistent=False)
        self.register_buffer("_std", torch.tensor(list(std))[:, None, None], persistent=False)
        self._settings = {
            **{"n_classes": n_classes, **design.fingerprint(), "dropout": design.dropout},
            **{"loss": list(self._loss_settings), "mean": list(mean), "std": list(std)},
            **{"lr": lr, "min_lr": min_lr, "restart_epochs": restart_epochs, "weight_decay": weight_decay},
            **{"amsgrad": amsgrad, "loss_lr": loss_lr, "clip_norm": clip_norm, "seed": seed},
        }
        self.save_hyperparameters(self._settings, logger=False)

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps; where first weights came from is none of them."""
        return dict(self._settings)

    def encoder_state(self) -> dict[str, Tensor]:
        """The weights that an encoder loads, those of the backbone among them."""
        return {name: value.cpu() for name, value in self.network.state_dict().items()}

    def training_step(self, batch: Patch, batch_idx: int) -> Float[Tensor, ""]:
        """Loss of one batch."""
        torch.manual_seed(seed_of(self.seed, self.current_epoch, f"batch {batch_idx}"))  # of the dropout
        return self._judge(batch, "train")

    def validation_step(self, batch: Patch, batch_idx: int) -> None:
        """Judge one batch."""
        self._judge(batch, "val")

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradient of the network; that of the centres stays."""
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[Any]]:
        """AdamW; the rate of the network follows cosines that begin anew, that of the centres stays."""
        learnt = {"params": list(self.network.learnt().values()), "lr": self.lr, "weight_decay": self.weight_decay}
        centres = {"params": list(self.loss.parameters()), "lr": self.loss_lr, "weight_decay": _LOSS_DECAY}
        optimizer = torch.optim.AdamW([{**learnt, "amsgrad": self.amsgrad}, {**centres, "amsgrad": False}])
        n_epochs = max(1, self.trainer.max_epochs or 1)
        n_steps = max(1, int(self.trainer.estimated_stepping_batches) // n_epochs)
        rate = partial(_warm_restarts, n_steps=n_steps * self.restart_epochs, lowest=self.min_lr / self.lr)
        # A function of the step alone, so that a stopped training goes on exactly.
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [rate, _always])
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _judge(self, batch: Patch, split: str) -> Float[Tensor, ""]:
        labels = _labels(batch)
        images = (batch.views.flatten(0, 1) - self._mean) / self._std
        descriptors = self.network(images)
        labels = labels.repeat_interleave(batch.views.shape[1])
        loss: Tensor = self.loss(descriptors, labels)
        with torch.no_grad():
            is_right = self.loss.get_logits(descriptors).argmax(1) == labels
        parts = {f"{split}/loss": loss.detach(), f"{split}/accuracy": is_right.float().mean()}
        self.log_dict(parts, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss


def _labels(batch: Patch) -> Int64[Tensor, " patch"]:
    if not isinstance(batch.label, Tensor) or bool((batch.label < 0).any()):
        raise ConfigError("model lgffem: learns classes, and the patches have none; set patches.label to a column")
    return batch.label


def _warm_restarts(step: int, n_steps: int, lowest: float) -> float:
    """Share of the rate at a step, of cosines of `n_steps` each.

    >>> [round(_warm_restarts(step, 4, 0.1), 3) for step in range(6)]
    [1.0, 0.868, 0.55, 0.232, 1.0, 0.868]
    """
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * (step % n_steps) / n_steps))


def _always(step: int) -> float:
    return 1.0
