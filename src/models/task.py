"""What a task is: it says how many outputs there are, what they cost and how they are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import pandas as pd
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MetricCollection

from src.data.cohort import Cohort
from src.models.predicted import Predicted


def predicted_class(
    name: str, classes: Sequence[str], judged: Sequence[int], probabilities: Float[Tensor, " class"]
) -> Predicted:
    """The class of a target that is worth showing: the second of two, else the most probable one.

    Args:
        name: of the target.
        classes: one per probability.
        judged: positions of the classes that can be shown.
        probabilities: of all classes.

    >>> from torch import tensor
    >>> predicted_class("grade", ["low", "high", "unknown"], [0, 1], tensor([0.5, 0.25, 0.25])).class_name
    'high'
    """
    shown = judged[1] if len(judged) == 2 else max(judged, key=lambda i: float(probabilities[i]))
    return Predicted(name, "class", float(probabilities[shown]), classes[shown])


@runtime_checkable
class Task(Protocol):
    """A task whose targets are known; `BagClassifier` needs no more than this.

    Attributes:
        headline: the metric that tells most, higher is better.
    """

    headline: ClassVar[str]

    @property
    def n_outputs(self) -> int:
        """Numbers that the classifier gives per slide."""
        ...

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps."""
        ...

    def start_outputs(self, outputs: nn.Linear) -> None:
        """Draw the first weights of the layer that gives the outputs, where they should not be torch's own."""
        ...

    def target(self, label: Any) -> Tensor:
        """The label of one slide, as `TaskChoice.read` gave it, as `loss` and the metrics take it."""
        ...

    def loss(self, outputs: Float[Tensor, " output"], target: Tensor) -> Float[Tensor, ""]:
        """What the outputs of one slide cost."""
        ...

    def predict(self, outputs: Float[Tensor, " output"]) -> Float[Tensor, " output"]:
        """Outputs as they are reported."""
        ...

    def predicted(self, values: Float[Tensor, " output"]) -> tuple[Predicted, ...]:
        """What `predict` gave, target by target."""
        ...

    def report(self, label: Any, values: Float[Tensor, " output"]) -> Mapping[str, Any]:
        """The label and what `predict` gave, as columns of a table."""
        ...

    def metrics(self, prefix: str) -> MetricCollection:
        """Metrics of predictions (slide, output) and targets (slide, ...), gathered over an epoch."""
        ...


@runtime_checkable
class TaskChoice(Protocol):
    """What is to be learnt, before the slides are seen: one option of `task=`."""

    @property
    def cancer_column(self) -> str | None:
        """Label column by which the test slides are also judged apart; None for none."""
        ...

    def read(self, cohort: Cohort, slide_ids: Sequence[str]) -> pd.Series:
        """The label of each slide that can be learnt from, by slide_id: a class, or a tuple of cells."""
        ...

    def strata(self, labels: pd.Series) -> pd.DataFrame | None:
        """Columns of which every split should have every class; None where the labels are classes themselves."""
        ...

    def summary(self, labels: pd.Series) -> str:
        """What some slides are, for the log."""
        ...

    def fit(self, labels: pd.Series) -> Task:
        """The task, its classes and weights found from the slides in train."""
        ...
