"""Train a head: fit, choose the best epoch on val, test it, and write what was found into the run's folder."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import lightning
import pandas as pd
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from matplotlib.figure import Figure
from omegaconf import DictConfig

from src.data.cohort import Cohort
from src.data.files import write_json, written_whole
from src.errors import ConfigError
from src.eval.figures import save
from src.interfaces import FeatureStore
from src.models.bag_classifier import BagClassifier, Prediction
from src.models.bag_data import BagDataModule
from src.models.heads.head import FittedHead
from src.models.patch_sample import sample_patches
from src.models.resume import History, read_checkpoint, refuse_other_settings
from src.models.splits import SPLITS
from src.models.task import Task, TaskChoice
from src.runs.curves import training_curves
from src.runs.job import Outcome
from src.runs.loggers import Logger, log_artifact, log_config, log_images, log_table, open_loggers
from src.runs.prepare import prepare_cohort, prepare_features

log = logging.getLogger(__name__)

# What Lightning says at level INFO is advice; its handlers would print it twice.
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# Bags are read from one file each; on small cohorts, workers cost more than they save.
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
# Lightning calls torch's pytree by an old name.
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")

_EPOCH = "epoch"


def train(cfg: DictConfig) -> Outcome:
    """What train.py does: features are made where they are missing, then a head is trained."""
    cohort = prepare_cohort(cfg)
    features = prepare_features(cfg, cohort)
    metrics = train_head(cfg, cohort, features.store)
    return Outcome(_optimized(metrics, cfg.optimized_metric), features.n_failed)


def train_head(cfg: DictConfig, cohort: Cohort, store: FeatureStore) -> dict[str, float]:
    """Train and test one head on one cohort.

    Writes checkpoints, metrics.json, timing.json, predictions.parquet and curves.png into `paths.run_dir`.

    Args:
        cfg: keys seed, paths, head, task, bags, model, trainer, callbacks, logger, ckpt_path.
        cohort: the labels, the patients and perhaps the split.
        store: the features.

    Returns:
        `train/` and `val/` metrics of the chosen epoch, `test/` metrics of its weights, and `epoch`; a metric that is
        not defined (AUROC where only one class is present) is left out.

    Raises:
        ConfigError: labels, splits or a checkpoint that cannot be trained with.
    """
    bags, task = _bags(cfg, cohort, store)
    lightning.seed_everything(cfg.seed, workers=True)
    model = _model(cfg, task, store.dim)
    if cfg.ckpt_path:
        _check_resume(cfg, model)
    elif isinstance(model.head, FittedHead):
        model.head.fit(sample_patches(bags.bags_in("train"), model.head.n_fitted, cfg.seed), cfg.seed)
    with open_loggers(cfg.get("logger")) as loggers:
        log_config(loggers, cfg)
        history = History()
        trainer = _trainer(cfg, history, loggers)
        trainer.fit(model, bags, ckpt_path=cfg.ckpt_path, weights_only=True)
        best, epochs = _best_checkpoint(trainer), history.epochs
        # Here the trainer takes callbacks, history too, back to the state of the best checkpoint.
        tested = trainer.test(model, bags, ckpt_path=best, weights_only=True, verbose=False)[0]
        epoch = len(epochs) - 1 if best is None else int(read_checkpoint(best)["epoch"])
        metrics = _defined({**tested, **epochs[epoch], _EPOCH: float(epoch)})
        predictions = _predictions(trainer, model, bags, task)
        _write(Path(cfg.paths.run_dir), metrics, predictions, training_curves(epochs, epoch, task.headline))
        _log(loggers, Path(cfg.paths.run_dir), predictions, best, task.headline)
    return metrics


def _bags(cfg: DictConfig, cohort: Cohort, store: FeatureStore) -> tuple[BagDataModule, Task]:
    choice: TaskChoice = instantiate(cfg.task, _convert_="all")
    table = cohort.table.set_index("slide_id")
    labels = choice.read(cohort, store.slide_ids)
    bags: BagDataModule = instantiate(cfg.bags, _convert_="all")(
        store, labels, table["patient_id"], table.get("split"), strata=choice.strata(labels)
    )
    for split in SPLITS:
        log.info("%s: %s", split, choice.summary(bags.labels_in(split)))
    return bags, choice.fit(bags.labels_in("train"))


def _model(cfg: DictConfig, task: Task, dim_in: int) -> BagClassifier:
    of_task = {"n_outputs": task.n_outputs} if "n_outputs" in cfg.head else {}
    head = instantiate(cfg.head, _convert_="all")(dim_in, **of_task)
    model: BagClassifier = instantiate(cfg.model, _convert_="all")(head, task)
    return model


def _check_resume(cfg: DictConfig, model: BagClassifier) -> None:
    checkpoint = read_checkpoint(Path(cfg.ckpt_path))
    refuse_other_settings(checkpoint, model.settings())
    n_epochs, max_epochs = checkpoint["epoch"] + 1, cfg.trainer.get("max_epochs")
    if max_epochs is not None and 0 <= max_epochs < n_epochs:
        raise ConfigError(f"ckpt_path: {n_epochs} epochs are done, trainer.max_epochs is {max_epochs}; raise it")


def _trainer(cfg: DictConfig, history: History, loggers: Sequence[Logger]) -> Trainer:
    callbacks = [instantiate(node, _convert_="all") for node in (cfg.get("callbacks") or {}).values()]
    trainer: Trainer = instantiate(cfg.trainer, _partial_=True, _convert_="all")(
        callbacks=[*callbacks, history], logger=list(loggers)
    )
    return trainer


def _best_checkpoint(trainer: Trainer) -> Path | None:
    """None when none was written, as in a fast_dev_run; then the last weights stand."""
    path = getattr(trainer.checkpoint_callback, "best_model_path", "")
    return Path(path) if path else None


def _defined(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def _predictions(trainer: Trainer, model: BagClassifier, bags: BagDataModule, task: Task) -> pd.DataFrame:
    """One row per slide of every split: its label and what the task reports of it."""
    rows = []
    for split in SPLITS:
        predicted = cast(list[Prediction], trainer.predict(model, bags.whole(split)))
        rows += [_row(prediction, split, bags, task) for prediction in predicted]
    return pd.DataFrame(rows)


def _row(prediction: Prediction, split: str, bags: BagDataModule, task: Task) -> dict[str, Any]:
    slide_id = prediction.slide_id
    return {
        "slide_id": slide_id,
        "patient_id": bags.patients[slide_id],
        "split": split,
        **task.report(bags.labels[slide_id], prediction.values),
    }


def _write(run_dir: Path, metrics: Mapping[str, float], predictions: pd.DataFrame, curves: Figure) -> None:
    with written_whole(run_dir / "predictions.parquet") as temporary:
        predictions.to_parquet(temporary, index=False)
    save(curves, run_dir / "curves.png")
    values = {name: {"value": value} for name, value in metrics.items() if name != _EPOCH}
    write_json(run_dir / "metrics.json", values)
    write_json(run_dir / "timing.json", {"best_epoch": int(metrics[_EPOCH])})
    tested = {name: value for name, value in metrics.items() if name.startswith("test/")}
    shown = [name for name in tested if name.count("/") == 1]  # of many tasks, what sums them up
    log.info("%s", ", ".join(f"{name} {tested[name]:.3f}" for name in shown))


def _log(loggers: Sequence[Logger], run_dir: Path, predictions: pd.DataFrame, best: Path | None, headline: str) -> None:
    log_table(loggers, "predictions", predictions)
    log_images(loggers, "curves", [run_dir / "curves.png"], [f"loss and {headline} per epoch"])
    if best is not None:
        log_artifact(loggers, "head", "model", best)


def _optimized(metrics: Mapping[str, float], name: str | None) -> float | None:
    if name is None:
        return None
    if name not in metrics:
        raise ConfigError(f"optimized_metric={name} was not measured; choose one of {', '.join(sorted(metrics))}")
    return metrics[name]
