from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from src.errors import ConfigError
from src.models.bag_classifier import BagClassifier
from src.models.bag_data import BagDataModule
from src.models.bags import EpochSampler
from src.models.heads.abmil import Abmil
from src.models.multitask import ClassColumn, MultiTask
from tests.models.bags import MemoryStore, cohort_of

_TASK = MultiTask((ClassColumn("tissue", ("benign", "tumour")),), ("age",))


def _bags() -> BagDataModule:
    """16 slides in train, 5 in val and 3 in test."""
    classes, patients = cohort_of(12)
    age = np.random.default_rng(0).normal(size=len(classes))
    cells = pd.Series(list(zip(classes, age.tolist(), strict=True)), index=classes.index, dtype=object)
    split = pd.Series(["train"] * 16 + ["val"] * 5 + ["test"] * 3, index=classes.index)
    own = pd.Series(classes.index, index=classes.index)  # every slide a patient
    return BagDataModule(MemoryStore(classes, patients), cells, own, split, strata=pd.DataFrame(index=classes.index))


def _trained(folder: Path, n_processes: int) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    seed_everything(0)
    model = BagClassifier(Abmil(8, 16, 16), _TASK, lr=0.01)
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=n_processes,
        strategy="ddp_spawn" if n_processes > 1 else "auto",
        use_distributed_sampler=False,
        max_epochs=2,
        accumulate_grad_batches=8 // n_processes,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, _bags())
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return model.state_dict(), metrics


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*litlogger.*")
def test_two_processes_learn_and_judge_as_one(tmp_path: Path) -> None:
    (weights, metrics), (of_two, metrics_of_two) = _trained(tmp_path, 1), _trained(tmp_path, 2)
    assert {"val/overall", "val/tissue/auc", "val/loss", "train/age/mse", "train/loss"} <= set(metrics)
    assert metrics_of_two == pytest.approx(metrics, abs=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(of_two[name], value, rtol=1e-4, atol=1e-5)


def test_processes_share_the_order_of_one() -> None:
    whole = list(EpochSampler(9, seed=1))
    shares = [list(EpochSampler(9, seed=1, share=(rank, 2))) for rank in (0, 1)]
    assert [len(share) for share in shares] == [5, 5]
    taken = [key for turn in zip(*shares, strict=True) for key in turn]
    assert taken == [*whole, whole[0]]


def test_more_processes_than_slides_are_refused() -> None:
    bags = _bags()
    bags.trainer = type("Two", (), {"global_rank": 0, "world_size": 6})()
    with pytest.raises(ConfigError, match="a split has 5 slides for 6 processes"):
        bags.val_dataloader()
