"""Every head under conf/head is trained by what train.py calls, on bags whose class a few patches tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from src.data.cohort import Cohort
from src.data.cohorts.table import table_cohort
from src.errors import IncompatibleParts
from src.models.trained_head import read_trained_head
from src.runs.cli import CONF
from src.runs.train_run import train_head
from tests.models.bags import MemoryStore, cohort_of

HEADS = [path.stem for path in sorted((CONF / "head").glob("*.yaml"))]
OF_ONE_CLASS_IN_THEIR_PAPER = ("clam_mb", "clam_sb", "dsmil", "prototypes", "transmil")
SMALL = {"dim_hidden": 32, "dim_attention": 16, "n_landmarks": 8, "n_prototypes": 4, "clustering_weight": 0.0}


def _config(run_dir: Path, head: str, task: str, *overrides: str, small: tuple[str, ...]) -> DictConfig:
    settings = OmegaConf.load(CONF / "head" / f"{head}.yaml")
    sizes = [f"head.{name}={SMALL[name]}" for name in small if name in settings]
    groups = ["+model=bag_classifier", "+trainer=cpu", "+callbacks=default", f"+head={head}", f"+task={task}"]
    keys = ["+seed=0", "+data={label: tissue}", f"+paths={{run_dir: {run_dir}}}", "+ckpt_path=null", "model.lr=0.01"]
    quiet = ["trainer.enable_progress_bar=false", "trainer.accumulate_grad_batches=4"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(overrides=[*groups, *keys, *quiet, *sizes, *overrides])


@pytest.fixture
def data(tmp_path: Path) -> tuple[Cohort, MemoryStore]:
    """Fourteen patients with two slides each, and a number that follows the class."""
    labels, patients = cohort_of(14)
    paths = [str(tmp_path / f"{slide_id}.tif") for slide_id in labels.index]
    Path(paths[0]).touch()
    age = np.where(labels == "tumour", 1.0, -1.0) + np.linspace(0, 0.1, len(labels))
    columns = {"path": paths, "patient_id": patients.values, "tissue": labels.values, "age": age}
    pd.DataFrame(columns).to_csv(tmp_path / "cohort.csv", index=False)
    return table_cohort(tmp_path / "cohort.csv", label="tissue", name="tiny"), MemoryStore(labels, patients)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_learns_and_goes_on_after_a_stop_as_if_there_had_been_none(
    tmp_path: Path, data: tuple[Cohort, MemoryStore], head: str
) -> None:
    sizes = ("dim_hidden", "dim_attention", "n_landmarks", "n_prototypes")
    whole = train_head(_config(tmp_path / "whole", head, "classification", "trainer.max_epochs=6", small=sizes), *data)
    assert whole["test/auroc"] >= 0.9
    assert whole["test/accuracy"] >= 0.8

    first = _config(tmp_path / "first", head, "classification", "trainer.max_epochs=2", small=sizes)
    train_head(first, *data)
    last = tmp_path / "first" / "checkpoints" / "last.ckpt"
    more = ["trainer.max_epochs=6", f"ckpt_path={last}"]
    rest = train_head(_config(tmp_path / "rest", head, "classification", *more, small=sizes), *data)
    assert rest == whole
    ends = [tmp_path / name / "checkpoints" / "last.ckpt" for name in ("whole", "rest")]
    assert read_trained_head(ends[0]).digest() == read_trained_head(ends[1]).digest()


@pytest.mark.parametrize("head", OF_ONE_CLASS_IN_THEIR_PAPER)
def test_heads_of_one_class_learn_classes_and_numbers_at_once(
    tmp_path: Path, data: tuple[Cohort, MemoryStore], head: str
) -> None:
    targets = ["task.classification=[tissue]", "task.regression=[age]", "trainer.max_epochs=6"]
    metrics = train_head(_config(tmp_path / "run", head, "table", *targets, small=tuple(SMALL)), *data)
    assert metrics["test/tissue/auc"] >= 0.9
    assert metrics["test/age/spearman"] > 0.3


def test_head_that_cannot_learn_the_task_says_so_before_anything_is_trained(
    tmp_path: Path, data: tuple[Cohort, MemoryStore]
) -> None:
    with pytest.raises(IncompatibleParts, match="several targets"):
        train_head(_config(tmp_path / "run", "clam_sb", "table", "task.regression=[age]", small=()), *data)
    assert not (tmp_path / "run").exists()


def test_prototypes_come_from_training_slides_alone_and_not_from_labels(
    tmp_path: Path, data: tuple[Cohort, MemoryStore]
) -> None:
    cohort, store = data
    loaded: list[list[str]] = []

    class Spy(MemoryStore):
        def load(self, slide_id: str):  # type: ignore[no-untyped-def]
            loaded[-1].append(slide_id)
            return super().load(slide_id)

    found = []
    for name in ("a", "b"):
        loaded.append([])
        cfg = _config(tmp_path / name, "prototypes", "classification", "trainer.max_epochs=1", small=("n_prototypes",))
        train_head(cfg, cohort, Spy(store.labels, store.patients))
        found.append(torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    split = pd.read_parquet(tmp_path / "a" / "predictions.parquet").set_index("slide_id")["split"]
    assert sorted(loaded[0][: (split == "train").sum()]) == sorted(split.index[split == "train"])
    assert torch.equal(found[0]["head.prototypes"], found[1]["head.prototypes"])
