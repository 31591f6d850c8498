"""Train the hash encoder of HSHR on the features of a cohort, and write its weights for `code.checkpoint`."""

from __future__ import annotations

import logging
from pathlib import Path

import lightning
import pandas as pd
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.data.files import write_json, write_text, written_whole
from src.eval.figures import save
from src.eval.training_figures import EPOCHS_FILE
from src.models.hashing.halves import SlideHalves
from src.models.hashing.module import SlideHashing
from src.models.resume import History
from src.runs.auto_code import vectors_of
from src.runs.curves import training_curves
from src.runs.job import Outcome
from src.runs.loggers import log_artifact, log_config, log_images, open_loggers
from src.runs.prepare import prepare_cohort, prepare_features
from src.runs.train_results import summaries
from src.runs.trainings import check_resume, fit, make_trainer, one_batch_per_step, optimized

log = logging.getLogger(__name__)

WEIGHTS_FILE = "hash_encoder.pth"


def train_hash_encoder(cfg: DictConfig) -> Outcome:
    """Fit, and write hash_encoder.pth, metrics.json, epochs.csv and curves.png.

    The weights are those of the last epoch, as in HSHR: the loss grows while the queue fills, so it cannot choose one.

    Args:
        cfg: keys seed, paths, data, encoder, patching, mosaic, halves, model, trainer, callbacks, logger, ckpt_path,
            optimized_metric.
    """
    features = prepare_features(cfg, prepare_cohort(cfg))
    vectors, shaped_by = vectors_of(cfg, features.store)
    data: SlideHalves = instantiate(cfg.halves, _convert_="all")(features.store, vectors, shaped_by=shaped_by)
    lightning.seed_everything(cfg.seed, workers=True)
    model: SlideHashing = instantiate(cfg.model, _convert_="all")(features.store.dim)
    if cfg.ckpt_path:
        check_resume(cfg, model.settings())
    with open_loggers(cfg.get("logger")) as loggers:
        log_config(loggers, cfg)
        history = History()
        fit(make_trainer(one_batch_per_step(cfg), history, loggers), model, data, cfg.ckpt_path)
        _write(Path(cfg.paths.run_dir), model, history)
        log_artifact(loggers, "hash-encoder", "model", Path(cfg.paths.run_dir) / WEIGHTS_FILE)
        log_images(loggers, "curves", [Path(cfg.paths.run_dir) / "curves.png"], ["loss and halves found per epoch"])
    return Outcome(optimized(history.epochs[-1], cfg.optimized_metric), features.n_failed)


def _write(run_dir: Path, model: SlideHashing, history: History) -> None:
    epochs, last = history.epochs, len(history.epochs) - 1
    with written_whole(run_dir / WEIGHTS_FILE) as temporary:
        torch.save(model.encoder_q.state_dict(), temporary)
    write_text(run_dir / EPOCHS_FILE, pd.DataFrame(epochs).to_csv(index_label="epoch"))
    write_json(run_dir / "metrics.json", summaries(epochs[last]))
    write_json(run_dir / "timing.json", {"best_epoch": last})
    save(training_curves(epochs, last, "found"), run_dir / "curves.png")
    log.info("epoch %d: %s", last, ", ".join(f"{name} {value:.3f}" for name, value in epochs[last].items()))
    log.info("weights: code=hshr code.checkpoint=%s", run_dir / WEIGHTS_FILE)
