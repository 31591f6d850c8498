"""The hash encoder of HSHR in training: one half of a slide has to find the other among the halves of other slides.

Source: HSHR (see `network`), `ssl_encoder_training.py`, which trains by momentum contrast (He et al., MoCo, 2020): keys
come from a copy of the encoder that follows it slowly, and a queue of earlier keys is what a query has to be told from.
"""

from __future__ import annotations

import copy
from typing import Any

import lightning
import torch
from jaxtyping import Float
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional

from src.errors import ConfigError
from src.models.hashing.halves import Halves
from src.models.hashing.network import HashEncoder


class SlideHashing(lightning.LightningModule):
    """Learns from halves of slides, by SGD whose rate falls from epoch to epoch.

    Args:
        dim_in: columns of the features.
        n_bits: of a code.
        queue_size: keys that a query is told from.
        key_momentum: how much of itself the copy keeps in a step.
        temperature: of the similarities, cosines.
        lr: learning rate.
        momentum: of SGD.
        weight_decay: L2 penalty.
        lr_decay: factor of the learning rate after each epoch.
        seed: of the first keys.

    Raises:
        ConfigError: a setting out of range.
    """

    queue: Tensor
    queue_ptr: Tensor

    def __init__(
        self,
        dim_in: int,
        n_bits: int,
        queue_size: int,
        key_momentum: float,
        temperature: float,
        lr: float,
        momentum: float,
        weight_decay: float,
        lr_decay: float,
        seed: int,
    ) -> None:
        super().__init__()
        if min(n_bits, queue_size) < 1 or not 0 <= key_momentum < 1 or temperature <= 0:
            raise ConfigError(
                f"model hshr: n_bits is {n_bits}, queue_size {queue_size}, key_momentum {key_momentum:g}, temperature "
                f"{temperature:g}; expected at least 1, at least 1, 0 to 1 (not included) and more than 0"
            )
        self.save_hyperparameters(logger=False)
        self.lr, self.momentum, self.weight_decay, self.lr_decay = lr, momentum, weight_decay, lr_decay
        self.key_momentum = key_momentum
        self.temperature = temperature
        self.encoder_q = HashEncoder(dim_in, n_bits)
        self.encoder_k = copy.deepcopy(self.encoder_q).requires_grad_(False)
        keys = torch.randn(queue_size, n_bits, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("queue", functional.normalize(keys, dim=1))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps, enough to build the same network."""
        return dict(self.hparams)

    def training_step(self, batch: Halves, batch_idx: int) -> Float[Tensor, ""]:
        """How well the first halves of a batch find their second halves."""
        self._follow()
        loss, keys = self._judge(batch, "train")
        self._enqueue(keys)
        return loss

    def validation_step(self, batch: Halves, batch_idx: int) -> None:
        """Judge one batch."""
        self._judge(batch, "val")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD over the encoder, not over its copy."""
        optimizer = torch.optim.SGD(
            self.encoder_q.parameters(), self.lr, momentum=self.momentum, weight_decay=self.weight_decay
        )
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, self.lr_decay)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def _judge(self, batch: Halves, split: str) -> tuple[Float[Tensor, ""], Float[Tensor, "slide bit"]]:
        """The loss, and the keys of the second halves."""
        queries = functional.normalize(self.encoder_q(batch.first), dim=1)
        with torch.no_grad():
            keys = functional.normalize(self.encoder_k(batch.second), dim=1)
        own = (queries * keys).sum(1, keepdim=True)
        similarities = torch.cat([own, queries @ self.queue.clone().T], dim=1)  # the queue changes before the gradient
        target = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
        loss = functional.cross_entropy(similarities / self.temperature, target)
        found = (similarities.argmax(1) == 0).float().mean()
        metrics = {f"{split}/loss": loss.detach(), f"{split}/found": found}
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(queries))
        return loss, keys

    @torch.no_grad()
    def _follow(self) -> None:
        for own, copied in zip(self.encoder_q.parameters(), self.encoder_k.parameters(), strict=True):
            copied.mul_(self.key_momentum).add_(own, alpha=1 - self.key_momentum)

    @torch.no_grad()
    def _enqueue(self, keys: Float[Tensor, "slide bit"]) -> None:
        """Replace the oldest keys."""
        n = len(self.queue)
        places = (self.queue_ptr + torch.arange(len(keys), device=keys.device)) % n
        self.queue[places[-n:]] = keys[-n:]
        self.queue_ptr.copy_((self.queue_ptr + len(keys)) % n)
