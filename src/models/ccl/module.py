"""Clustering-guided contrastive learning (CCL): how the encoder of RetCCL is trained.

Of three looks at each patch, two are queries, and the third gives a key by a slowly following copy of the network. A
query has to find its key in a memory bank, where the group of keys most like its own is pushed away less (weighted
InfoNCE). And it has to name its group among those of the other query's look at the batch (group-level InfoNCE).

Source: Wang et al., "RetCCL: Clustering-guided contrastive learning for whole-slide image retrieval", Medical Image
Analysis 2023. Its repository (Xiyue-Wang/RetCCL) holds the network and the numbers of ccl.py (128 values, 65536 keys,
momentum 0.999, temperature 0.07), but neither losses nor training. The losses follow public notes that restate the
paper's equations; optimiser, augmentations and the numbers of the group branch are those of CLD (Wang et al., CVPR
2021, frank-xwang/CLD-UnsupervisedLearning), whose code that of RetCCL repeats.
Not verified against the paper: the equations themselves, the weight of alike keys, the numbers of groups, and how the
bank is clustered (here by one k-means step per batch).
Differs from CLD: one process, so the batch of the keys is not shuffled between devices for their batch norm.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import lightning
import torch
from jaxtyping import Float
from torch import Tensor

from src.errors import ConfigError
from src.models.ccl.losses import group_info_nce, groups_of, weighted_info_nce
from src.models.ccl.memory import MemoryBank
from src.models.ccl.network import TwoBranches
from src.models.patch_data import Patch

N_VIEWS = 3
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as conf/encoder/retccl.yaml


class Ccl(lightning.LightningModule):
    """Learns from three looks at each patch.

    Args:
        backbone: name in timm; conf/encoder/retccl.yaml loads resnet50.
        dim: values of a vector that is compared.
        memory_size: keys in the memory bank.
        memory_groups: groups of the memory bank.
        alike_weight: of the similarity to keys of the group most like a query's own, 0 to 1; 1 is MoCo.
        key_momentum: share of the copy that stays in each step.
        temperature: of the instance branch.
        groups: of a batch, in the group branch.
        group_iterations: of their k-means.
        group_temperature: of the group branch.
        group_weight: of its loss; 0 leaves it out.
        official_group_labels: a patch's group is that of its other look, as in CLD's code; see `group_info_nce`.
        lr: learning rate of SGD, which falls to 0 along a cosine.
        momentum: of SGD.
        weight_decay: L2 penalty.

    Raises:
        ConfigError: a setting out of range.
    """

    _mean: Tensor
    _std: Tensor

    headline = "instance_loss"
    weights_key = "encoder.checkpoint"
    keeps = "last"

    def __init__(
        self,
        backbone: str,
        dim: int,
        memory_size: int,
        memory_groups: int,
        alike_weight: float,
        key_momentum: float,
        temperature: float,
        groups: int,
        group_iterations: int,
        group_temperature: float,
        group_weight: float,
        official_group_labels: bool,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        super().__init__()
        if not (0 <= alike_weight <= 1 and 0 <= key_momentum < 1 and min(temperature, group_temperature) > 0):
            raise ConfigError(
                f"model: alike_weight is {alike_weight}, key_momentum {key_momentum}, temperatures {temperature} and "
                f"{group_temperature}; expected 0 to 1, 0 to below 1 and above 0"
            )
        if min(groups, group_iterations) < 1:
            raise ConfigError(f"model: groups is {groups}, group_iterations {group_iterations}; expected at least 1")
        self.save_hyperparameters(logger=False)
        self.query_network = TwoBranches(backbone, dim)
        self.key_network = copy.deepcopy(self.query_network).requires_grad_(False)
        self.memory = MemoryBank(memory_size, dim, memory_groups)
        self.register_buffer("_mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("_std", torch.tensor(_STD)[:, None, None], persistent=False)

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps, enough to build the same network."""
        return dict(self.hparams)

    def encoder_state(self) -> dict[str, Tensor]:
        """The weights that an encoder loads, under the names of the backbone."""
        return {name: value.cpu() for name, value in self.query_network.backbone.state_dict().items()}

    def training_step(self, batch: Patch, batch_idx: int) -> Float[Tensor, ""]:
        """Loss of one batch; its keys go into the memory bank."""
        self._follow()
        loss, keys = self._judge(batch, "train")
        self.memory.add(keys)
        return loss

    def validation_step(self, batch: Patch, batch_idx: int) -> None:
        """Judge one batch; the memory bank stays as it is."""
        self._judge(batch, "val")

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[Any]]:
        """SGD whose rate falls to 0 along a cosine over the epochs of the trainer."""
        optimizer = torch.optim.SGD(
            self.query_network.parameters(),
            lr=self.hparams["lr"],
            momentum=self.hparams["momentum"],
            weight_decay=self.hparams["weight_decay"],
        )
        n_epochs = max(1, self.trainer.max_epochs or 1)
        # A function of the epoch alone, so that a resume with more epochs follows the longer cosine.
        rate = partial(_cosine, n_epochs=n_epochs)
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, rate)]

    @torch.no_grad()
    def _follow(self) -> None:
        share = 1 - self.hparams["key_momentum"]
        for mine, theirs in zip(self.key_network.parameters(), self.query_network.parameters(), strict=True):
            mine.lerp_(theirs, share)

    def _judge(self, batch: Patch, split: str) -> tuple[Float[Tensor, ""], Float[Tensor, "patch dim"]]:
        first, keyed, second = self._looks(batch)
        (first_one, first_group), (second_one, second_group) = self.query_network(first), self.query_network(second)
        with torch.no_grad():
            keys, _ = self.key_network(keyed)
        instance = (self._instance_loss(first_one, keys) + self._instance_loss(second_one, keys)) / 2
        group = (self._group_loss(first_group, second_group) + self._group_loss(second_group, first_group)) / 2
        loss = instance + self.hparams["group_weight"] * group
        parts = {"loss": loss, "instance_loss": instance, "group_loss": group}
        metrics = {f"{split}/{name}": value.detach() for name, value in parts.items()}
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(first))
        return loss, keys

    def _looks(self, batch: Patch) -> tuple[Tensor, ...]:
        if batch.views.shape[1] != N_VIEWS:
            given = batch.views.shape[1]
            raise ConfigError(f"model ccl: takes {N_VIEWS} views of a patch, got {given}; set patches.view.n_views=3")
        return ((batch.views - self._mean) / self._std).unbind(1)

    def _instance_loss(self, queries: Tensor, keys: Tensor) -> Tensor:
        memory = self.memory.keys.clone()  # `add` changes it before the gradient is taken
        is_alike = self.memory.group_of(keys)[:, None] == self.memory.groups()[None]
        return weighted_info_nce(
            queries, keys, memory, is_alike, self.hparams["alike_weight"], self.hparams["temperature"]
        )

    def _group_loss(self, vectors: Tensor, other: Tensor) -> Tensor:
        groups = groups_of(other.detach(), self.hparams["groups"], self.hparams["group_iterations"])
        official = self.hparams["official_group_labels"]
        return group_info_nce(vectors, groups, self.hparams["group_temperature"], official)


def _cosine(epoch: int, n_epochs: int) -> float:
    """Share of the learning rate in an epoch.

    >>> [round(_cosine(epoch, 4), 3) for epoch in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    return 0.5 * (1 + math.cos(math.pi * epoch / n_epochs))
