"""What a training found: a prediction per slide, the metrics of every split and cancer type, and the files of both."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from lightning.pytorch import Trainer
from matplotlib.figure import Figure

from src.data.files import write_json, write_text, written_whole
from src.eval.figures import save
from src.eval.training_figures import EPOCHS_FILE
from src.models.bag_classifier import BagClassifier, Prediction
from src.models.bag_data import BagDataModule
from src.models.task import Task
from src.runs.loggers import Logger, log_artifact, log_images, log_metrics, log_table

log = logging.getLogger(__name__)

Predictions = Mapping[str, Sequence[Prediction]]
"""By split."""


def predict(trainer: Trainer, model: BagClassifier, bags: BagDataModule) -> Predictions:
    """What the chosen weights say of every slide."""
    return {split: cast(list[Prediction], trainer.predict(model, bags.whole(split))) for split in bags.splits}


@dataclass(frozen=True)
class Found:
    """The outcome of one training.

    Attributes:
        predictions: of the chosen weights.
        cancers: cancer type of each slide, by slide_id, by which the test slides are also judged apart; None for none.
        measured: as Lightning gave it, of the chosen epoch and of the test slides.
        epoch: the chosen one.
        epochs: the metrics of every epoch.
    """

    bags: BagDataModule
    task: Task
    predictions: Predictions
    cancers: pd.Series | None
    measured: Mapping[str, float]
    epoch: int
    epochs: Sequence[Mapping[str, float]]

    @cached_property
    def metrics(self) -> dict[str, float]:
        """`<split>/<score>`, `<split>/<task>/<score>` and `<split>@<cancer>/...`; what is not defined is left out."""
        headline = f"{self.bags.tested_as}/{self.task.headline}"
        values = {headline: self.measured[headline], **self.measured, **self._by_cancer()}
        return {name: float(value) for name, value in values.items() if math.isfinite(value)}

    def table(self) -> pd.DataFrame:
        """One row per slide of every split: its label and what the task reports of it."""
        return pd.DataFrame([self._row(split, each) for split, some in self.predictions.items() for each in some])

    def scores(self) -> pd.DataFrame:
        """One row per split, cancer type and target of a task of several, one column per score; NaN where undefined."""
        rows: dict[tuple[str, str, str], dict[str, float]] = {}
        for name, value in self.metrics.items():
            where, _, target, score = _parts(name)
            split, _, cancer = where.partition("@")
            if target:
                rows.setdefault((split, cancer or "all", target), {})[score] = value
        index = pd.MultiIndex.from_tuples(list(rows), names=["split", "cancer", "target"]) if rows else None
        return pd.DataFrame(list(rows.values()), index=index).reset_index()

    def _by_cancer(self) -> dict[str, float]:
        if self.cancers is None:
            return {}
        tested = {each.slide_id: each for each in self.predictions["test"]}
        names = self.cancers[list(tested)].dropna()
        metrics: dict[str, float] = {}
        for cancer, slides in names.groupby(names):
            metrics |= self._judged([tested[str(slide_id)] for slide_id in slides.index], str(cancer))
        return metrics

    def _judged(self, predictions: Sequence[Prediction], cancer: str) -> dict[str, float]:
        metrics = self.task.metrics(f"{self.bags.tested_as}@{cancer}/")
        targets = [self.task.target(self.bags.labels[each.slide_id]) for each in predictions]
        metrics.update(torch.stack([each.values for each in predictions]), torch.stack(targets))
        return {name: float(value) for name, value in metrics.compute().items()}

    def _row(self, split: str, prediction: Prediction) -> dict[str, Any]:
        slide_id = prediction.slide_id
        return {
            "slide_id": slide_id,
            "patient_id": self.bags.patients[slide_id],
            "split": split,
            **self.task.report(self.bags.labels[slide_id], prediction.values),
        }


def write_found(found: Found, run_dir: Path, curves: Figure) -> None:
    """Write predictions, curves.png, epochs.csv, metrics.json, timing.json and, of several targets, scores.csv."""
    with written_whole(run_dir / "predictions.parquet") as temporary:
        found.table().to_parquet(temporary, index=False)
    save(curves, run_dir / "curves.png")
    write_json(run_dir / "metrics.json", summaries(found.metrics))
    write_json(run_dir / "timing.json", {"best_epoch": found.epoch})
    write_text(run_dir / EPOCHS_FILE, pd.DataFrame(found.epochs).to_csv(index_label="epoch"))
    if len(scores := found.scores()):
        write_text(run_dir / "scores.csv", scores.to_csv(index=False))
    tested = [f"{name} {value:.3f}" for name, value in found.metrics.items() if _parts(name)[0] == found.bags.tested_as]
    log.info("%s", ", ".join(text for text in tested if text.count("/") == 1))  # of many tasks, what sums them up


def log_found(found: Found, loggers: Sequence[Logger], run_dir: Path, best: Path | None) -> None:
    """Log predictions, scores, curves and the chosen checkpoint."""
    log_metrics(loggers, {name: value for name, value in found.metrics.items() if "@" in name})
    log_table(loggers, "predictions", found.table())
    if len(scores := found.scores()):
        log_table(loggers, "scores", scores)
    log_images(loggers, "curves", [run_dir / "curves.png"], [f"loss and {found.task.headline} per epoch"])
    if best is not None:
        log_artifact(loggers, "head", "model", best)


def summaries(metrics: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """As metrics.json has them: the scores of several targets are one entry, their mean, with each `per_class`.

    >>> summaries({"test/loss": 2.0, "test/TP53/auc": 0.5, "test/KRAS/auc": 1.0})["test/auc"]
    {'value': 0.75, 'per_class': {'TP53': 0.5, 'KRAS': 1.0}}
    """
    entries: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        _, key, target, _ = _parts(name)
        if target:
            entries.setdefault(key, {"value": None, "per_class": {}})["per_class"][target] = value
        else:
            entries[key] = {"value": value}
    for entry in entries.values():
        if "per_class" in entry:
            entry["value"] = sum(entry["per_class"].values()) / len(entry["per_class"])
    return entries


def _parts(name: str) -> tuple[str, str, str, str]:
    """Where, `<where>/<score>`, the target (empty where the score is of all), the score."""
    where, _, rest = name.partition("/")
    target, _, score = rest.rpartition("/")
    return where, f"{where}/{score}", target, score
