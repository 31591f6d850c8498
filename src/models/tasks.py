"""The class of a slide as a task."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from src.data.cohort import Cohort
from src.errors import ConfigError
from src.models.auroc import MacroAuroc
from src.models.predicted import Predicted
from src.models.task import predicted_class

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Classification:
    """The class of a slide.

    Attributes:
        label: column of the cohort table.
        weight_classes: let rare classes cost more, so that all classes cost the same in sum.
        cancer_column: label column by which the test slides are also judged apart; None for none.
    """

    label: str
    weight_classes: bool = False
    cancer_column: str | None = None

    def read(self, cohort: Cohort, slide_ids: Sequence[str]) -> pd.Series:
        """The class of each slide that can be learnt from; see `labelled`."""
        return self.labelled(cohort.labels(self.label), slide_ids)

    def strata(self, labels: pd.Series) -> None:
        """None: the labels are the classes."""
        return

    def summary(self, labels: pd.Series) -> str:
        """Slides, and how many of each class."""
        counts = sorted(Counter(labels).items())
        return f"{len(labels)} slides ({', '.join(f'{name} {n}' for name, n in counts)})"

    def labelled(self, labels: pd.Series, slide_ids: Sequence[str]) -> pd.Series:
        """The slides that can be learnt from; what is left out is counted on the log.

        Args:
            labels: class of each slide of the cohort, by slide_id; missing where unknown.
            slide_ids: slides that have features.

        Raises:
            ConfigError: fewer than two classes are left.
        """
        with_features = labels[labels.index.isin(slide_ids)]
        known = with_features.dropna().astype(str)
        n_bare, n_unlabelled = len(labels) - len(with_features), len(with_features) - len(known)
        if n_bare or n_unlabelled:
            log.warning("%s: left out %d slides without features, %d without label", self.label, n_bare, n_unlabelled)
        if known.nunique() < 2:
            raise ConfigError(
                f"{self.label}: {len(known)} labelled slides with features have {known.nunique()} class, "
                "a classification needs two or more; choose another column with task.label="
            )
        return known

    def fit(self, labels: pd.Series) -> ClassTask:
        """Find the classes, sorted, and their weights.

        Args:
            labels: class of each slide in train; every class is among them.
        """
        counts = labels.value_counts().sort_index()
        weights = len(labels) / (len(counts) * counts) if self.weight_classes else None
        return ClassTask(
            label=self.label,
            classes=tuple(str(name) for name in counts.index),
            weights=None if weights is None else tuple(float(weight) for weight in weights),
        )


@dataclass(frozen=True)
class ClassTask:
    """A classification whose classes are known.

    Attributes:
        classes: their order is that of the outputs.
        weights: cost of a slide of each class, or None when all cost the same. A weight multiplies the slide's loss:
            the weighted mean of torch's cross entropy would cancel it, as one step sees one slide.
    """

    label: str
    classes: tuple[str, ...]
    weights: tuple[float, ...] | None = None

    headline: ClassVar[str] = "accuracy"

    @property
    def n_outputs(self) -> int:
        """One logit per class."""
        return len(self.classes)

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps."""
        return {
            "label": self.label,
            "classes": list(self.classes),
            "weights": None if self.weights is None else list(self.weights),
        }

    def start_outputs(self, outputs: nn.Linear) -> None:
        """Torch's own weights stay."""

    def target(self, label: str) -> Int64[Tensor, ""]:
        """Position of the class."""
        return torch.tensor(self.classes.index(label))

    def loss(self, outputs: Float[Tensor, " class"], target: Int64[Tensor, ""]) -> Float[Tensor, ""]:
        """Cross entropy, times the weight of the slide's class."""
        weights = None if self.weights is None else outputs.new_tensor(self.weights)
        return functional.cross_entropy(outputs, target, weights, reduction="sum")

    def predict(self, outputs: Float[Tensor, " class"]) -> Float[Tensor, " class"]:
        """Probability of each class."""
        return outputs.softmax(0)

    def predicted(self, values: Float[Tensor, " class"]) -> tuple[Predicted, ...]:
        """The second of two classes, or the most probable of more, with its probability."""
        return (predicted_class(self.label, self.classes, range(len(self.classes)), values),)

    def report(self, label: str, values: Float[Tensor, " class"]) -> dict[str, str | float]:
        """The class, the most probable one, and the probability of each."""
        named = zip(self.classes, values.tolist(), strict=True)
        predicted = self.classes[int(values.argmax())]
        return {"label": label, "predicted": predicted, **{f"probability_{name}": value for name, value in named}}

    def metrics(self, prefix: str) -> MetricCollection:
        """Share of slides that are right, the same per class and averaged, and the AUROC of `MacroAuroc`."""
        n = len(self.classes)
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(n, average="micro"),
                "balanced_accuracy": MulticlassAccuracy(n, average="macro"),
                "auroc": MacroAuroc(),
            },
            prefix=prefix,
        )
