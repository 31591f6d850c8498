"""One epoch as train.py trains it: bags read lazily, all outputs one matrix product, Lightning around."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.bags import DIM, N_BAGS_PER_STEP
from src.data.cohort import SlideRecord
from src.data.feature_folder import FeatureFolder
from src.data.here66 import HERE66
from src.models.bag_classifier import BagClassifier
from src.models.bag_data import BagDataModule
from src.models.heads.here import Here
from src.models.table_targets import TableTargets


class Clock(Callback):
    """CPU seconds from the first optimiser step to the end of the epoch."""

    started_s = 0.0
    seconds = 0.0

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, i: int) -> None:
        """Start after the first optimiser step."""
        if i + 1 == N_BAGS_PER_STEP:
            self.started_s = time.process_time()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop when the metrics are there."""
        self.seconds = time.process_time() - self.started_s


def steps_per_s(folder: Path) -> float:
    """Train on every bag once."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    bags, model, clock = _bags(folder), BagClassifier(Here(DIM), _CHOICE.fit(_labels(folder))), Clock()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=N_BAGS_PER_STEP,
        limit_val_batches=0,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, bags.train_dataloader())
    return (len(bags.labels) - N_BAGS_PER_STEP) / clock.seconds


_CHOICE = TableTargets(targets=HERE66)


def _labels(folder: Path) -> pd.Series:
    table = pd.read_csv(folder / "labels.csv").set_index("slide_id")
    for target in HERE66:
        table[target.name] = table[target.name].astype(str if target.kind == "class" else float)
    rows = list(table[_CHOICE.columns].itertuples(index=False, name=None))
    return pd.Series(rows, index=table.index, dtype=object)


def _bags(folder: Path) -> BagDataModule:
    """Every slide in train; val and test are not looked at."""
    labels = _labels(folder)
    patients = pd.Series(labels.index, index=labels.index)
    records = {name: SlideRecord(name, folder / f"{name}.h5", name, 0.5) for name in labels.index}
    bags = BagDataModule(FeatureFolder(folder, records, DIM), labels, patients, strata=_CHOICE.strata(labels))
    bags.split[:] = "train"
    return bags
