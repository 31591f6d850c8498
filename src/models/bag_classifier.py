"""A head and a linear classifier, trained one bag at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import lightning
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MeanMetric, MetricCollection

from src.models.bags import Bag, seed_of
from src.models.heads.head import BagOutput, Head, Lesson, SupervisedHead, outputs_of
from src.models.heads.known import head_settings
from src.models.splits import SPLITS
from src.models.task import Task


class Prediction(NamedTuple):
    """What is said of one slide; `values` is (output,), as `Task.predict` gives it."""

    slide_id: str
    values: Tensor


class BagClassifier(lightning.LightningModule):
    """Learns a task from bags.

    Optimised by Adam. A step sees one bag; the trainer's `accumulate_grad_batches` says how many make a batch.

    Args:
        head: pools a bag into one embedding.
        task: what is learnt; it owns the loss and the metrics.
        lr: learning rate.
        weight_decay: L2 penalty, as Adam has it (not decoupled).
        seed: of dropout, which depends on (seed, epoch, slide) alone.
        tested_as: what the metrics of the test slides are called.

    Raises:
        IncompatibleParts: a head that cannot learn this task.
    """

    def __init__(
        self,
        head: Head,
        task: Task,
        lr: float = 1e-4,
        weight_decay: float = 1e-5,
        seed: int = 0,
        tested_as: str = "test",
    ) -> None:
        super().__init__()
        if isinstance(head, SupervisedHead):
            head.check_task(task)
        self.head = head
        self.task = task
        self.lr = lr
        self.weight_decay = weight_decay
        self.seed = seed
        self.classifier = nn.Linear(head.dim_out, task.n_outputs)
        task.start_outputs(self.classifier)
        self.splits = (*SPLITS[:2], tested_as)
        self.metrics = nn.ModuleDict({f"{name}_metrics": task.metrics(f"{name}/") for name in self.splits})
        means = {f"{split}/{name}": MeanMetric() for split in self.splits for name in ("loss", "auxiliary_loss")}
        self._means = cast(Mapping[str, MeanMetric], nn.ModuleDict(means))
        self._logged: dict[str, tuple[str, ...]] = {}
        self.save_hyperparameters(self.settings(), logger=False)

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps, enough to build the same network."""
        return {
            "head": head_settings(self.head),
            "task": self.task.settings(),
            "lr": self.lr,
            "weight_decay": self.weight_decay,
            "seed": self.seed,
        }

    def forward(
        self, features: Float[Tensor, "patch feature"], lesson: Lesson | None = None
    ) -> tuple[Float[Tensor, " output"], BagOutput]:
        """The outputs for one slide, and the pooled bag they come from."""
        if lesson is not None and isinstance(self.head, SupervisedHead):
            pooled = self.head(features, lesson)
        else:
            pooled = self.head(features)
        return outputs_of(self.classifier, pooled.embedding).float(), pooled  # also in mixed precision

    def training_step(self, bag: Bag, batch_idx: int) -> Float[Tensor, ""]:
        """Loss of one bag."""
        self._seed_dropout(seed_of(self.seed, self.current_epoch, bag.slide_id))
        loss = self._judge(bag, "train")
        if self.trainer.is_last_batch:  # callbacks read metrics before on_train_epoch_end would give them
            self._report("train")
        return loss

    def validation_step(self, bag: Bag, batch_idx: int) -> None:
        """Judge one bag."""
        self._judge(bag, "val")

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of all bags."""
        self._report("val")

    def test_step(self, bag: Bag, batch_idx: int) -> None:
        """Judge one bag."""
        self._judge(bag, self.splits[2])

    def on_test_epoch_end(self) -> None:
        """Log the metrics of all bags."""
        self._report(self.splits[2])

    def predict_step(self, bag: Bag, batch_idx: int) -> Prediction:
        """Predict one bag."""
        outputs, _ = self(bag.features)
        return Prediction(bag.slide_id, self.task.predict(outputs))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over all weights."""
        return torch.optim.Adam(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def _seed_dropout(self, seed: int) -> None:
        """As torch.manual_seed, which notes a stack trace where CUDA is not in use, 1 ms of each step."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _judge(self, bag: Bag, split: str) -> Float[Tensor, ""]:
        target = self.task.target(bag.label).to(bag.features.device)
        outputs, pooled = self(bag.features, Lesson(self.task, target) if split == "train" else None)
        loss = self.task.loss(outputs, target)
        self._metrics_of(split).update(self.task.predict(outputs).detach()[None], target[None])
        self._means[f"{split}/loss"].update(loss.detach())
        if pooled.auxiliary_loss is None:
            return loss
        self._means[f"{split}/auxiliary_loss"].update(pooled.auxiliary_loss.detach())
        total: Tensor = loss + pooled.auxiliary_loss
        return total

    def _report(self, split: str) -> None:
        metrics = self._metrics_of(split)
        values = {**self._mean_losses(split), **metrics.compute()}
        metrics.reset()
        if split == self.splits[2]:
            self.log_dict(values, on_epoch=True, batch_size=1)
        else:
            self._log_at_once(split, values)

    def _mean_losses(self, split: str) -> dict[str, Tensor]:
        """Over the slides of all processes; Lightning's own mean rounds how many each of them had."""
        own = {name: mean for name, mean in self._means.items() if name.startswith(f"{split}/")}
        values = {name: mean.compute() for name, mean in own.items() if mean.update_called}
        for mean in own.values():
            mean.reset()
        return values

    def _log_at_once(self, split: str, values: Mapping[str, Tensor]) -> None:
        """As log_dict, whose bookkeeping costs 1 ms per value: half of a second per epoch with 66 targets."""
        known = self.trainer.callback_metrics
        for name in [name for name in self._logged.get(split, ()) if name not in values]:
            known.pop(name, None)
        known.update(values)
        self._logged[split] = tuple(values)
        chosen_on_test = split == "val" and self.splits[2] != "test"
        shown = self.splits[2] if chosen_on_test else split
        numbers = {f"{shown}/{name.partition('/')[2]}": float(value) for name, value in values.items()}
        for logger in self.loggers:
            logger.log_metrics({**numbers, "epoch": self.current_epoch}, step=self.global_step)

    def _metrics_of(self, split: str) -> MetricCollection:
        return cast(MetricCollection, self.metrics[f"{split}_metrics"])
