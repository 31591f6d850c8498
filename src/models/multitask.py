"""Many targets of one slide learnt at once: classes, as of genes, and numbers, as of expression signatures.

Source: HERE's 66 heads (bioRxiv 10.1101/2025.10.25.684566; data2intelligence/HERE_training, train.py). All outputs are
one vector: the logits of each classification, then one number per regression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import inf, isnan, nan
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torchmetrics import MetricCollection

from src.data.targets import class_title
from src.errors import ConfigError
from src.models.heads.here import start_linear
from src.models.multitask_loss import cross_entropy, squared_error
from src.models.multitask_scores import MultiTaskScores
from src.models.predicted import Predicted
from src.models.task import predicted_class

Cell = str | float
"""A class name, a number, or NaN where it is not known."""


@dataclass(frozen=True)
class ClassColumn:
    """A classification whose classes are known.

    Attributes:
        classes: their order is that of the logits.
        ignored: a class that is neither learnt nor judged; it keeps its logit.
        weights: cost of a slide of each class, or None when all cost the same.
    """

    name: str
    classes: tuple[str, ...]
    ignored: str | None = None
    weights: tuple[float, ...] | None = None

    def position(self, cell: Cell) -> float:
        """Of the class among the logits; NaN where it is unknown or ignored.

        Raises:
            ConfigError: a class that no slide in train has.
        """
        if not isinstance(cell, str) or cell == self.ignored:
            return nan
        if cell not in self.classes:
            raise ConfigError(
                f"{self.name}: class {cell!r} is not among {', '.join(self.classes)}, those of train; "
                "move such a slide to train, or leave it without label"
            )
        return float(self.classes.index(cell))

    @property
    def judged(self) -> tuple[int, ...]:
        """Positions of the classes that are not ignored."""
        return tuple(i for i, name in enumerate(self.classes) if name != self.ignored)

    def predicted(self, probabilities: Float[Tensor, " class"]) -> Predicted:
        """The class that is worth showing; class 1 of HERE's genes by its effect."""
        titles = [class_title(self.name, name) for name in self.classes]
        return predicted_class(self.name, titles, self.judged, probabilities)


@dataclass(frozen=True)
class MultiTask:
    """Classifications and regressions whose classes and weights are known.

    Attributes:
        task_weights: factor of a task's loss by its name; 1 where none is given.
        effective_class_weights: see `cross_entropy`. HERE trains with one slide per device, where its class weights
            cancel; true is what its paper means.
    """

    classification: tuple[ClassColumn, ...]
    regression: tuple[str, ...]
    effective_class_weights: bool = False
    task_weights: Mapping[str, float] = field(default_factory=dict)

    headline: ClassVar[str] = "overall"

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks, in the order of targets and losses."""
        return (*(column.name for column in self.classification), *self.regression)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Outputs of each task."""
        return (*(len(column.classes) for column in self.classification), *(1 for _ in self.regression))

    @property
    def n_outputs(self) -> int:
        """Logits of all classifications and one number per regression."""
        return sum(self.sizes)

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps."""
        columns = [
            {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(column).items()}
            for column in self.classification
        ]
        return {
            "classification": columns,
            "regression": list(self.regression),
            "effective_class_weights": self.effective_class_weights,
            "task_weights": dict(self.task_weights),
        }

    def start_outputs(self, outputs: nn.Linear) -> None:
        """Xavier uniform weights and zero biases, drawn per task as if each had a layer of its own."""
        for rows in self._split(torch.arange(outputs.out_features), 0):
            layer = nn.Linear(outputs.in_features, len(rows))
            start_linear(layer)
            outputs.weight.data[rows], outputs.bias.data[rows] = layer.weight.data, layer.bias.data

    def target(self, label: Sequence[Cell]) -> Float[Tensor, " task"]:
        """Class positions, then numbers; NaN where unknown or ignored."""
        n = len(self.classification)
        classes = [column.position(cell) for column, cell in zip(self.classification, label[:n], strict=True)]
        return torch.tensor([*classes, *(float(cell) for cell in label[n:])])

    def losses(
        self, outputs: Float[Tensor, "slide output"], targets: Float[Tensor, "slide task"]
    ) -> Float[Tensor, " task"]:
        """Cost of each task over a batch; exactly 0, with gradient 0, where no slide counts."""
        n = len(self.classification)
        outputs = outputs.float()  # a class weight has more digits than bfloat16
        numbers = squared_error(outputs[:, outputs.shape[1] - len(self.regression) :], targets[:, n:])
        if not n:
            return numbers
        weights = self._weights.to(outputs.device)
        classes = cross_entropy(self._logits(outputs), targets[:, :n], weights, self.effective_class_weights)
        return torch.cat([classes, numbers])

    def loss(self, outputs: Float[Tensor, " output"], target: Float[Tensor, " task"]) -> Float[Tensor, ""]:
        """The sum over all tasks, each times its weight."""
        losses = self.losses(outputs[None], target[None])
        if not self.task_weights:
            return losses.sum()
        return (losses * losses.new_tensor([self.task_weights.get(name, 1.0) for name in self.names])).sum()

    def predict(self, outputs: Float[Tensor, " output"]) -> Float[Tensor, " output"]:
        """Probability of each class, then the numbers as they are."""
        if not self.classification:
            return outputs
        probabilities = self._logits(outputs[None])[0].softmax(1)[~self._is_padding.to(outputs.device)]
        return torch.cat([probabilities, outputs[len(probabilities) :]])

    def predicted(self, values: Float[Tensor, " output"]) -> tuple[Predicted, ...]:
        """One class per classification with its probability among all of its classes, then the numbers."""
        n = len(self.classification)
        parts = self._split(values, 0)
        classes = [column.predicted(part) for column, part in zip(self.classification, parts[:n], strict=True)]
        numbers = [
            Predicted(name, "number", part.item()) for name, part in zip(self.regression, parts[n:], strict=True)
        ]
        return (*classes, *numbers)

    def report(self, label: Sequence[Cell], values: Float[Tensor, " output"]) -> dict[str, Cell | None]:
        """One row of predictions: each task's label, and its probabilities or predicted number."""
        row: dict[str, Cell | None] = {}
        for i, (name, part) in enumerate(zip(self.names, self._split(values, 0), strict=True)):
            row[name] = _known(label[i])
            row |= dict(zip(self._columns(i), part.tolist(), strict=True))
        return row

    def metrics(self, prefix: str) -> MetricCollection:
        """The scores of every task, and their sum; see `MultiTaskScores`."""
        judged = {column.name: (len(column.classes), column.judged) for column in self.classification}
        return MetricCollection({"scores": MultiTaskScores(judged, self.regression)}, prefix=prefix)

    def _logits(self, outputs: Float[Tensor, "slide output"]) -> Float[Tensor, "slide column class"]:
        """All classifications side by side, so that 11 genes cost no more steps than one."""
        places, is_padding = self._places.to(outputs.device), self._is_padding.to(outputs.device)
        return outputs[:, places].masked_fill(is_padding, -inf)

    @cached_property
    def _is_padding(self) -> Bool[Tensor, "column class"]:
        n_classes = torch.tensor(self.sizes[: len(self.classification)])
        return torch.arange(int(n_classes.max())) >= n_classes[:, None]

    @cached_property
    def _places(self) -> Int64[Tensor, "column class"]:
        """Where the output of each class is; 0 for padding."""
        places = torch.zeros(self._is_padding.shape, dtype=torch.int64)
        places[~self._is_padding] = torch.arange(int((~self._is_padding).sum()))
        return places

    @cached_property
    def _weights(self) -> Float[Tensor, "column class"]:
        weights = torch.ones(self._is_padding.shape)
        for row, column in zip(weights, self.classification, strict=True):
            if column.weights is not None:
                row[: len(column.weights)] = torch.tensor(column.weights)
        return weights

    def _split(self, values: Tensor, dim: int) -> tuple[Tensor, ...]:
        return torch.split(values, list(self.sizes), dim)

    def _columns(self, i: int) -> list[str]:
        if i >= len(self.classification):
            return [f"{self.names[i]}_predicted"]
        column = self.classification[i]
        return [f"{column.name}_probability_{name}" for name in column.classes]


def _known(cell: Cell) -> Cell | None:
    return None if isinstance(cell, float) and isnan(cell) else cell
