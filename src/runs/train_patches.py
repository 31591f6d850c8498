"""Train a network on the patches of a cohort, and write the weights that searches load."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import lightning
import pandas as pd
import torch
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from omegaconf import DictConfig
from torch import Tensor

from src.data.files import write_json, write_text, written_whole
from src.data.patching import Patching
from src.eval.figures import save
from src.eval.training_figures import EPOCHS_FILE
from src.models.patch_data import PatchDataModule
from src.models.resume import History, read_checkpoint
from src.runs.curves import training_curves
from src.runs.job import Outcome
from src.runs.loggers import log_artifact, log_config, log_images, open_loggers
from src.runs.prepare import prepare_cohort
from src.runs.train_results import summaries
from src.runs.trainings import best_checkpoint, check_resume, fit, make_trainer, one_batch_per_step, optimized

log = logging.getLogger(__name__)

WEIGHTS_FILE = "encoder.pth"


@runtime_checkable
class PatchLearner(Protocol):
    """A Lightning module whose result is an encoder.

    Attributes:
        headline: the metric that is drawn beside the loss.
        weights_key: of the configuration, where the weights are given.
        keeps: the weights of the last epoch, as contrastive losses cannot choose one: they grow while the memory bank
            fills; or those of the epoch that callbacks.checkpoint calls the best.
    """

    headline: str
    weights_key: str
    keeps: Literal["last", "best"]

    def settings(self) -> dict[str, Any]:
        """Plain values that a checkpoint keeps."""
        ...

    def encoder_state(self) -> dict[str, Tensor]:
        """The weights that an encoder loads."""
        ...


def train_on_patches(cfg: DictConfig) -> Outcome:
    """Fit, and write encoder.pth, metrics.json, epochs.csv and curves.png.

    A model whose configuration is `_partial_` learns classes, and is told how many there are.

    Args:
        cfg: keys seed, paths, data, patching, patches, model, trainer, callbacks, logger, ckpt_path, optimized_metric.
    """
    cohort = prepare_cohort(cfg)
    patching: Patching = instantiate(cfg.patching, _convert_="all")
    data: PatchDataModule = instantiate(cfg.patches, _convert_="all")(cohort, patching.of(cohort.kind))
    lightning.seed_everything(cfg.seed, workers=True)
    model = instantiate(cfg.model, _convert_="all")
    model = model(len(data.classes)) if isinstance(model, partial) else model
    if cfg.ckpt_path:
        check_resume(cfg, model.settings())
    with open_loggers(cfg.get("logger")) as loggers:
        log_config(loggers, cfg)
        history = History()
        trainer = make_trainer(one_batch_per_step(cfg), history, loggers)
        fit(trainer, model, data, cfg.ckpt_path)
        chosen = _take_chosen_epoch(trainer, model, len(history.epochs) - 1)
        _write(Path(cfg.paths.run_dir), model, history.epochs, chosen)
        log_artifact(loggers, "encoder", "model", Path(cfg.paths.run_dir) / WEIGHTS_FILE)
        log_images(loggers, "curves", [Path(cfg.paths.run_dir) / "curves.png"], ["loss per epoch"])
    return Outcome(optimized(history.epochs[chosen], cfg.optimized_metric))


def _take_chosen_epoch(trainer: Trainer, model: Any, last: int) -> int:
    """Give the model the weights of the epoch that counts, and say which it is."""
    best = best_checkpoint(trainer)
    if model.keeps == "last" or best is None:
        return last
    checkpoint = read_checkpoint(best)
    model.load_state_dict(checkpoint["state_dict"])
    return int(checkpoint["epoch"])


def _write(run_dir: Path, model: PatchLearner, epochs: Sequence[Mapping[str, float]], chosen: int) -> None:
    with written_whole(run_dir / WEIGHTS_FILE) as temporary:
        torch.save({"state_dict": model.encoder_state()}, temporary)
    write_text(run_dir / EPOCHS_FILE, pd.DataFrame(epochs).to_csv(index_label="epoch"))
    write_json(run_dir / "metrics.json", summaries(epochs[chosen]))
    write_json(run_dir / "timing.json", {"best_epoch": chosen})
    save(training_curves(epochs, chosen, model.headline), run_dir / "curves.png")
    log.info("epoch %d: %s", chosen, ", ".join(f"{name} {value:.3f}" for name, value in epochs[chosen].items()))
    log.info("weights: %s=%s", model.weights_key, run_dir / WEIGHTS_FILE)
