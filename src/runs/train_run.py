"""Train a head: fit, choose the best epoch on val, test it, and write what was found into the run's folder."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import lightning
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.data.cohort import SPLIT_COLUMN, Cohort
from src.interfaces import FeatureStore
from src.models.bag_classifier import BagClassifier
from src.models.bag_data import BagDataModule
from src.models.heads.head import FittedHead
from src.models.patch_sample import sample_patches
from src.models.resume import History, read_checkpoint
from src.models.start import start_from
from src.models.task import Task, TaskChoice
from src.runs.curves import training_curves
from src.runs.job import Outcome
from src.runs.loggers import log_config, open_loggers
from src.runs.prepare import prepare_cohort, prepare_features
from src.runs.train_results import Found, log_found, predict, write_found
from src.runs.trainings import best_checkpoint, check_resume, fit, make_trainer, optimized

log = logging.getLogger(__name__)

# What Lightning says at level INFO is advice; its handlers would print it twice.
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# Bags are read from one file each; on small cohorts, workers cost more than they save.
warnings.filterwarnings("ignore", message=".*does not have many workers.*")
# A frozen backbone is meant to stay as in evaluation.
warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
# Lightning calls torch's pytree by an old name.
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")


def train(cfg: DictConfig) -> Outcome:
    """What train.py does: features are made where they are missing, then a head is trained."""
    cohort = prepare_cohort(cfg)
    features = prepare_features(cfg, cohort)
    metrics = train_head(cfg, cohort, features.store)
    return Outcome(optimized(metrics, cfg.optimized_metric), features.n_failed)


def train_head(cfg: DictConfig, cohort: Cohort, store: FeatureStore) -> dict[str, float]:
    """Train and test one head on one cohort.

    Writes checkpoints, metrics.json, timing.json, predictions.parquet, epochs.csv, curves.png and, of several targets,
    scores.csv into `paths.run_dir`.

    Args:
        cfg: keys seed, paths, head, task, bags, model, trainer, callbacks, logger, ckpt_path.
        cohort: the labels, the patients and perhaps the split, or several as columns split_0, split_1, ...
        store: the features.

    Returns:
        `train/` and `val/` metrics of the chosen epoch, `test/` metrics of its weights (`test@BRCA/` those of a cancer
        type), and `epoch`; a metric that is not defined (AUROC where only one class is present) is left out. Where the
        epoch was chosen on test, `selected_on_test/` stands for `val/` and `test/`.

    Raises:
        ConfigError: labels, splits or a checkpoint that cannot be trained with.
    """
    choice: TaskChoice = instantiate(cfg.task, _convert_="all")
    cancers = None if choice.cancer_column is None else cohort.labels(choice.cancer_column)
    bags = _bags(cfg, choice, cohort, store)
    task = choice.fit(bags.labels_in("train"))
    lightning.seed_everything(cfg.seed, workers=True)
    model = _model(cfg, task, store.dim, bags.tested_as)
    if cfg.ckpt_path:
        check_resume(cfg, model.settings())
    elif cfg.head.get("checkpoint"):
        start_from(model, Path(cfg.head.checkpoint))
    elif isinstance(model.head, FittedHead):
        model.head.fit(sample_patches(bags.bags_in("train"), model.head.n_fitted, cfg.seed), cfg.seed)
    with open_loggers(cfg.get("logger")) as loggers:
        log_config(loggers, cfg)
        history = History()
        trainer = make_trainer(cfg, history, loggers)
        fit(trainer, model, bags, cfg.ckpt_path)
        best = best_checkpoint(trainer)
        epochs = [{bags.as_shown(name): value for name, value in row.items()} for row in history.epochs]
        # Here the trainer takes callbacks, history too, back to the state of the best checkpoint.
        tested = trainer.test(model, bags, ckpt_path=best, weights_only=True, verbose=False)[0]
        epoch = len(epochs) - 1 if best is None else int(read_checkpoint(best)["epoch"])
        found = Found(bags, task, predict(trainer, model, bags), cancers, {**epochs[epoch], **tested}, epoch, epochs)
        if trainer.is_global_zero:
            write_found(found, Path(cfg.paths.run_dir), training_curves(epochs, epoch, task.headline))
            log_found(found, loggers, Path(cfg.paths.run_dir), best)
    return {**found.metrics, "epoch": float(epoch)}


def _bags(cfg: DictConfig, choice: TaskChoice, cohort: Cohort, store: FeatureStore) -> BagDataModule:
    table = cohort.table.set_index("slide_id")
    labels = choice.read(cohort, store.slide_ids)
    given = own_split(table, cfg.bags.split_seed, cfg.seed)
    bags: BagDataModule = instantiate(cfg.bags, _convert_="all")(
        store, labels, table["patient_id"], given, strata=choice.strata(labels)
    )
    for split in bags.splits:
        log.info("%s: %s", split, choice.summary(bags.labels_in(split)))
    if bags.official_test_selection:
        log.warning("official_test_selection: val joined train, and the epoch is chosen on the slides it is tested on")
    return bags


def own_split(table: pd.DataFrame, split_seed: int, seed: int) -> pd.Series | None:
    """The cohort's column `split_<split_seed>`, else its column `split`, else None."""
    numbered = f"{SPLIT_COLUMN}_{split_seed}"
    if numbered not in table and SPLIT_COLUMN in table and split_seed != seed:
        log.warning("the cohort's column %s is used, whatever split_seed; several are %s_0, ...", *[SPLIT_COLUMN] * 2)
    return table.get(numbered, table.get(SPLIT_COLUMN))


def _model(cfg: DictConfig, task: Task, dim_in: int, tested_as: str) -> BagClassifier:
    of_task = {"n_outputs": task.n_outputs} if "n_outputs" in cfg.head else {}
    settings = {name: value for name, value in cfg.head.items() if name != "checkpoint"}
    head = instantiate(settings, _convert_="all")(dim_in, **of_task)
    model: BagClassifier = instantiate(cfg.model, _convert_="all")(head, task, tested_as=tested_as)
    return model
