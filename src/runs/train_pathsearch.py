"""Train PathSearch on slides and their reports, judge it on held-out patients, and write its weights for searches."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import lightning
import numpy as np
import pandas as pd
import torch
from hydra.utils import instantiate
from lightning.pytorch import Trainer
from omegaconf import DictConfig

from src.data.cohort import Cohort
from src.data.files import write_json, write_text, written_whole
from src.errors import ConfigError
from src.eval.cross_modal import Paired, cross_modal_table, directions
from src.eval.figures import save
from src.eval.training_figures import EPOCHS_FILE
from src.interfaces import FeatureStore
from src.models.pathsearch.module import PairVectors, SlideReportContrast
from src.models.pathsearch.pairs import SlideReportPairs
from src.models.pathsearch.report_tower import Reports, expect_reports
from src.models.pathsearch.trained import TrainedPathSearch
from src.models.pathsearch.trained import reports_of as tower_of
from src.models.resume import History, read_checkpoint
from src.runs.curves import training_curves
from src.runs.job import Outcome
from src.runs.kept_reports import reports_of
from src.runs.loggers import log_artifact, log_config, log_images, log_table, open_loggers
from src.runs.pathsearch_report import Shown, show_training
from src.runs.prepare import prepare_cohort, prepare_features
from src.runs.train_results import summaries
from src.runs.train_run import own_split
from src.runs.trainings import best_checkpoint, check_resume, fit, make_trainer, one_batch_per_step, optimized

log = logging.getLogger(__name__)

WEIGHTS_FILE = "pathsearch.pth"
VECTORS_FILE = "vectors.npz"
TABLE_FILE = "cross_modal.csv"
TEST_FILE = "test_slides.csv"


def train_pathsearch(cfg: DictConfig) -> Outcome:
    """Fit, choose the epoch on val, and judge the four directions on test.

    Writes pathsearch.pth, vectors.npz (slides and reports of every split), cross_modal.csv, metrics.json, epochs.csv,
    curves.png, projection.png, report.html and test_slides.csv, a cohort of the slides that nothing was learnt from.

    Args:
        cfg: keys seed, paths, data, encoder, patching, report, reports, pairs, model, trainer, callbacks, logger,
            ckpt_path, optimized_metric.
    """
    reports = _report_tower(cfg)
    cohort = prepare_cohort(cfg)
    texts = reports_of(cfg, cohort)
    if not len(texts):
        raise ConfigError("reports=none: PathSearch learns from reports; say reports=table reports.table=FILE")
    features = prepare_features(cfg, cohort)
    data = _pairs(cfg, cohort, features.store, texts)
    lightning.seed_everything(cfg.seed, workers=True)
    model: SlideReportContrast = instantiate(cfg.model, _convert_="all")(features.store.dim, reports)
    if cfg.ckpt_path:
        check_resume(cfg, model.settings())
    with open_loggers(cfg.get("logger")) as loggers:
        log_config(loggers, cfg)
        history = History()
        trainer = make_trainer(one_batch_per_step(cfg), history, loggers)
        fit(trainer, model, data, cfg.ckpt_path)
        best = best_checkpoint(trainer)
        epoch = len(history.epochs) - 1 if best is None else int(read_checkpoint(best)["epoch"])
        if best is not None:
            model.load_state_dict(read_checkpoint(best)["state_dict"])
        tested = _tested(trainer, model, data, cohort, Path(cfg.paths.run_dir))
        table = _judged(tested, data)
        metrics = _write(Path(cfg.paths.run_dir), model, history, epoch, table)
        log_table(loggers, "cross_modal", table)
        log_artifact(loggers, "pathsearch", "model", Path(cfg.paths.run_dir) / WEIGHTS_FILE)
        log_images(loggers, "curves", [Path(cfg.paths.run_dir) / "curves.png"], ["loss and reports found per epoch"])
        said = [str(data.reports[slide_id]) for slide_id in tested.slide_ids]
        curves = training_curves(history.epochs, epoch, "found")
        shown = Shown(tested, said, table, _facts(data, reports, epoch, metrics), curves, cfg.seed)
        show_training(Path(cfg.paths.run_dir), cohort, shown, loggers)
    return Outcome(optimized(metrics, cfg.optimized_metric), features.n_failed)


def _report_tower(cfg: DictConfig) -> Reports:
    """Made before anything is extracted, so that a missing one is said at once."""
    reports = expect_reports(instantiate(cfg.report, _convert_="all"))
    reports.require()
    return reports


def _pairs(cfg: DictConfig, cohort: Cohort, store: FeatureStore, texts: pd.Series) -> SlideReportPairs:
    table = cohort.table.set_index("slide_id")
    texts = texts[texts.index.isin(list(store.slide_ids))]
    labels = cohort.labels() if cohort.label is not None else pd.Series(dtype=object)
    split = own_split(table, cfg.pairs.split_seed, cfg.seed)
    data: SlideReportPairs = instantiate(cfg.pairs, _convert_="all")(store, texts, labels, table["patient_id"], split)
    counts = data.split.value_counts()
    log.info("pairs: %s", ", ".join(f"{counts.get(name, 0)} in {name}" for name in ("train", "val", "test")))
    if data.official_test_selection:
        log.warning("official_test_selection: the epoch is chosen on the slides it is tested on")
    return data


def _tested(
    trainer: Trainer, model: SlideReportContrast, data: SlideReportPairs, cohort: Cohort, run_dir: Path
) -> Paired:
    """The test slides and their reports; those of every split are written."""
    vectors = {split: _vectors(trainer, model, data, split) for split in ("train", "val", "test")}
    with written_whole(run_dir / VECTORS_FILE) as temporary, temporary.open("wb") as file:
        named = {f"{split}/{name}": value for split, each in vectors.items() for name, value in each.items()}
        np.savez(file, **named)  # type: ignore[arg-type]
    slide_ids = vectors["test"]["slide_id"]
    is_test = cohort.table["slide_id"].isin(slide_ids)
    write_text(run_dir / TEST_FILE, cohort.table[is_test].to_csv(index=False))
    labels = cohort.labels() if cohort.label is not None else pd.Series(dtype=object)
    classes = tuple(labels.reindex(slide_ids).fillna("").astype(str))
    owners = tuple(str(data.patients[slide_id]) for slide_id in slide_ids)
    return Paired(tuple(map(str, slide_ids)), owners, classes, vectors["test"]["slides"], vectors["test"]["reports"])


def _judged(tested: Paired, data: SlideReportPairs) -> pd.DataFrame:
    """The four directions on the test slides that have a label; empty without any."""
    labelled = tested.labelled()
    if not len(labelled.slide_ids):
        return pd.DataFrame()
    return cross_modal_table(directions(labelled, "official" if data.official_leave_out else "patient"))


def _vectors(trainer: Trainer, model: SlideReportContrast, data: SlideReportPairs, split: str) -> dict[str, np.ndarray]:
    parts = cast(list[PairVectors], trainer.predict(model, data.whole(split)))
    slide_ids = [slide_id for part in parts for slide_id in part.slide_ids]
    both = {name: torch.cat([getattr(part, name) for part in parts]).float().numpy() for name in ("slides", "reports")}
    return {"slide_id": np.array(slide_ids, dtype=str), **both}


def _write(
    run_dir: Path, model: SlideReportContrast, history: History, epoch: int, table: pd.DataFrame
) -> dict[str, float]:
    epochs = history.epochs
    TrainedPathSearch(model.network, tower_of(model.settings()["reports"])).write(run_dir / WEIGHTS_FILE)
    rows = table.to_dict("records")
    tested = {f"test/{r['direction']}/{r['metric']}": float(r["value"]) for r in rows if "/" not in r["metric"]}
    metrics = {**epochs[epoch], **tested, "epoch": float(epoch)}
    write_text(run_dir / TABLE_FILE, table.to_csv(index=False))
    write_text(run_dir / EPOCHS_FILE, pd.DataFrame(epochs).to_csv(index_label="epoch"))
    write_json(run_dir / "metrics.json", summaries(metrics))
    write_json(run_dir / "timing.json", {"best_epoch": epoch})
    save(training_curves(epochs, epoch, "found"), run_dir / "curves.png")
    top_1 = ", ".join(f"{name} {value:.3f}" for name, value in tested.items() if name.endswith("top1"))
    log.info("epoch %d: %s", epoch, top_1 or "no test slide has a label to be judged by")
    log.info("weights: engine=pathsearch head.checkpoint=%s", run_dir / WEIGHTS_FILE)
    return metrics


def _facts(data: SlideReportPairs, reports: Reports, epoch: int, metrics: Mapping[str, float]) -> dict[str, object]:
    counts = data.split.value_counts()
    slides = {f"{name} slides": int(counts.get(name, 0)) for name in ("train", "val", "test")}
    losses = {
        name: metrics[name] for name in ("val/loss", "val/contrast", "val/sameness", "val/found") if name in metrics
    }
    return {"text tower": reports.name, **slides, "kept epoch": epoch, **losses}
