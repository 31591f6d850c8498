from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Trainer
from matplotlib.figure import Figure
from omegaconf import DictConfig, open_dict

from src.data.cohort import Cohort
from src.data.cohorts.table import table_cohort
from src.errors import ConfigError
from src.models.bag_classifier import BagClassifier
from src.models.bag_data import BagDataModule
from src.models.splits import SPLITS
from src.runs.curves import training_curves
from src.runs.train_run import train_head
from tests.models.bags import MemoryStore, cohort_of

_CONF = Path(__file__).resolve().parents[2] / "conf"
_GROUPS = ["+model=bag_classifier", "+logger=csv"]
_SETTINGS = ["+seed=0", "+data={label: tissue}", "model.lr=0.01", "bags.max_patches=8", "+optimized_metric=null"]


def _config(
    run_dir: Path,
    *overrides: str,
    trainer: str = "cpu",
    head: str = "abmil",
    task: str = "classification",
    callbacks: str = "default",
) -> DictConfig:
    groups = [*_GROUPS, f"+trainer={trainer}", f"+head={head}", f"+task={task}", f"+callbacks={callbacks}"]
    parts = [*groups, *_SETTINGS, f"+paths={{run_dir: {run_dir}}}"]
    quiet = ["trainer.enable_progress_bar=false", "trainer.accumulate_grad_batches=4"]
    with initialize_config_dir(str(_CONF), version_base="1.3"):
        return compose(overrides=[*parts, *quiet, "+ckpt_path=null", *overrides])


@pytest.fixture
def data(tmp_path: Path) -> tuple[Cohort, MemoryStore]:
    """Twelve patients with two slides each; one slide has no label, another no features."""
    labels, patients = cohort_of(12)
    labels["p00-s1"] = np.nan
    paths = [str(tmp_path / f"{slide_id}.tif") for slide_id in labels.index]
    Path(paths[0]).touch()
    columns = {"path": paths, "patient_id": patients.values, "tissue": labels.values}
    pd.DataFrame(columns).to_csv(tmp_path / "cohort.csv", index=False)
    cohort = table_cohort(tmp_path / "cohort.csv", label="tissue", name="tiny")
    return cohort, MemoryStore(labels.drop("p01-s1"), patients)


@pytest.fixture
def misleading(data: tuple[Cohort, MemoryStore]) -> tuple[Cohort, MemoryStore]:
    """The same slides, with the classes swapped in val: what is learnt makes its loss rise from epoch to epoch."""
    cohort, store = data
    split = cohort.table["patient_id"].map({"p02": "val", "p03": "val", "p04": "test", "p05": "test"}).fillna("train")
    other = cohort.table["tissue"].map({"benign": "tumour", "tumour": "benign"})
    tissue = cohort.table["tissue"].where(split != "val", other)
    return replace(cohort, table=cohort.table.assign(split=split, tissue=tissue)), store


def test_run_leaves_metrics_predictions_curves_checkpoints_and_a_csv_log(
    tmp_path: Path, data: tuple[Cohort, MemoryStore]
) -> None:
    run_dir = tmp_path / "run"
    metrics = train_head(_config(run_dir, "trainer.max_epochs=6"), *data)
    assert metrics["test/accuracy"] == 1.0
    written = json.loads((run_dir / "metrics.json").read_text())
    assert {name: summary["value"] for name, summary in written.items()} | {"epoch": metrics["epoch"]} == metrics
    assert (run_dir / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()
    assert "val/loss" in pd.read_csv(run_dir / "csv" / "metrics.csv")

    predictions = pd.read_parquet(run_dir / "predictions.parquet")
    columns = ["slide_id", "patient_id", "split", "label", "predicted", "probability_benign", "probability_tumour"]
    assert list(predictions) == columns
    assert sorted(predictions["slide_id"]) == sorted(set(data[1].slide_ids) - {"p00-s1"})
    assert predictions[columns[-2:]].sum(axis=1).to_list() == pytest.approx([1.0] * 22)
    test = predictions[predictions["split"] == "test"]
    assert (test["label"] == test["predicted"]).mean() == metrics["test/accuracy"]


def test_chosen_epoch_is_the_best_on_val_and_its_weights_are_tested(
    tmp_path: Path, misleading: tuple[Cohort, MemoryStore]
) -> None:
    run_dir = tmp_path / "run"
    metrics = train_head(_config(run_dir, "trainer.max_epochs=3"), *misleading)
    losses = pd.read_csv(run_dir / "csv" / "metrics.csv")["val/loss"].dropna().to_numpy()
    assert metrics["epoch"] == losses.argmin() == 0
    assert metrics["val/loss"] == pytest.approx(losses.min())
    (best,) = (run_dir / "checkpoints").glob("best-*.ckpt")
    assert torch.load(best, weights_only=True)["epoch"] == losses.argmin()

    predictions = pd.read_parquet(run_dir / "predictions.parquet")
    val = predictions[predictions["split"] == "val"]
    right = np.where(val["label"] == "benign", val["probability_benign"], val["probability_tumour"])
    assert -np.log(right).mean() == pytest.approx(metrics["val/loss"], rel=1e-4)


def test_run_resumed_in_another_folder_ends_like_an_uninterrupted_one(
    tmp_path: Path, data: tuple[Cohort, MemoryStore]
) -> None:
    whole = train_head(_config(tmp_path / "whole", "trainer.max_epochs=4"), *data)
    train_head(_config(tmp_path / "first", "trainer.max_epochs=2"), *data)
    last = f"ckpt_path={tmp_path / 'first' / 'checkpoints' / 'last.ckpt'}"
    rest = train_head(_config(tmp_path / "rest", "trainer.max_epochs=4", last), *data)
    assert rest == whole
    ends = [torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("whole", "rest")]
    assert all(torch.equal(value, ends[1]["state_dict"][name]) for name, value in ends[0]["state_dict"].items())


def test_curves_show_all_epochs_and_mark_the_chosen_one() -> None:
    names = [f"{split}/{metric}" for split in ("train", "val") for metric in ("loss", "accuracy")]
    epochs = [dict.fromkeys(names, value) for value in (3.0, 1.0, 2.0)]
    figure = training_curves(epochs, best_epoch=1)
    for axes in figure.axes:
        train, val, chosen = axes.lines
        for line in (train, val):
            np.testing.assert_array_equal(line.get_ydata(), [3.0, 1.0, 2.0])
        np.testing.assert_array_equal(chosen.get_xdata(), [1, 1])


def test_curves_are_drawn_of_every_epoch_after_the_best_one_is_tested(
    tmp_path: Path, misleading: tuple[Cohort, MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def draw(epochs: list[dict[str, float]], best_epoch: int, metric: str) -> Figure:
        drawn.extend([len(epochs), best_epoch])
        return training_curves(epochs, best_epoch, metric)

    monkeypatch.setattr("src.runs.train_run.training_curves", draw)
    train_head(_config(tmp_path / "run", "trainer.max_epochs=3"), *misleading)
    assert drawn == [3, 0]


def test_resume_with_other_settings_data_or_end_is_refused(tmp_path: Path, data: tuple[Cohort, MemoryStore]) -> None:
    train_head(_config(tmp_path / "first", "trainer.max_epochs=2"), *data)
    last = f"ckpt_path={tmp_path / 'first' / 'checkpoints' / 'last.ckpt'}"
    with pytest.raises(ConfigError, match=r"ckpt_path: head was .*'Abmil'.*, is .*'MeanPool'"):
        train_head(_config(tmp_path / "rest", last, head="mean_pool"), *data)
    with pytest.raises(ConfigError, match="trained with other slides, labels, splits"):
        train_head(_config(tmp_path / "rest", last, "bags.seed=1"), *data)
    with pytest.raises(ConfigError, match=r"2 epochs are done, trainer\.max_epochs is 1; raise it"):
        train_head(_config(tmp_path / "rest", last, "trainer.max_epochs=1"), *data)


def test_epoch_cannot_be_chosen_by_what_is_not_measured(tmp_path: Path, data: tuple[Cohort, MemoryStore]) -> None:
    cfg = _config(tmp_path / "run", "callbacks.checkpoint.monitor=val/grade/auc", "trainer.max_epochs=1")
    with pytest.raises(ConfigError, match=r"val/grade/auc.*could not find the monitored key.*metrics$"):
        train_head(cfg, *data)


def test_fast_dev_run_goes_through(tmp_path: Path, data: tuple[Cohort, MemoryStore]) -> None:
    metrics = train_head(_config(tmp_path / "run", trainer="fast_dev_run"), *data)
    assert "test/loss" in metrics
    assert set(pd.read_parquet(tmp_path / "run" / "predictions.parquet")["split"]) == set(SPLITS)


def test_logs_and_callbacks_can_be_left_out(tmp_path: Path, data: tuple[Cohort, MemoryStore]) -> None:
    cfg = _config(tmp_path / "run", "trainer.max_epochs=1")
    with open_dict(cfg):
        del cfg.logger, cfg.callbacks
    assert "test/loss" in train_head(cfg, *data)


def _table_config(run_dir: Path, *overrides: str) -> DictConfig:
    targets = ["task.classification=[tissue]", "task.regression=[age]", "trainer.max_epochs=8"]
    return _config(run_dir, *targets, *overrides, task="table", head="here", callbacks="best_score")


def test_classes_and_numbers_are_learnt_together_and_both_are_reported(
    tmp_path: Path, data: tuple[Cohort, MemoryStore]
) -> None:
    cohort, store = data
    age = np.where(cohort.table["tissue"] == "tumour", 1.0, -1.0) + np.linspace(0, 0.1, len(cohort))
    age[[1, 2]] = np.nan  # the first of them has no class either, so it is left out
    metrics = train_head(_table_config(tmp_path / "run"), replace(cohort, table=cohort.table.assign(age=age)), store)
    assert metrics["test/tissue/auc"] == 1
    assert metrics["test/age/spearman"] > 0.5
    assert metrics["test/overall"] == pytest.approx(metrics["test/tissue/auc"] + metrics["test/age/spearman"])
    losses = pd.read_csv(tmp_path / "run" / "csv" / "metrics.csv")[["train/overall", "val/overall"]]
    assert np.nanargmax(losses["val/overall"].dropna()) == metrics["epoch"]

    predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet").set_index("slide_id")
    targets = ["tissue", "tissue_probability_benign", "tissue_probability_tumour", "age", "age_predicted"]
    assert list(predictions) == ["patient_id", "split", *targets]
    assert list(predictions.index[predictions["age"].isna()]) == ["p01-s0"]


def test_test_slides_are_also_judged_by_cancer_type(tmp_path: Path, data: tuple[Cohort, MemoryStore]) -> None:
    cohort, store = data
    cancer = np.where(np.arange(len(cohort)) % 4 < 2, "BRCA", "LUAD")
    age = np.where(cohort.table["tissue"].isna(), np.nan, np.arange(len(cohort)) / 10)
    numbered = replace(cohort, table=cohort.table.assign(age=age, cancer=cancer))
    run_dir = tmp_path / "run"
    metrics = train_head(_table_config(run_dir, "task.cancer_column=cancer", "trainer.max_epochs=1"), numbered, store)
    test = pd.read_parquet(run_dir / "predictions.parquet").query("split == 'test'").set_index("slide_id")
    cancers = numbered.table.set_index("slide_id")["cancer"]
    for name in ("BRCA", "LUAD"):
        own = test[cancers[test.index] == name]
        error = np.mean((own["age"] - own["age_predicted"]) ** 2)
        assert metrics[f"test@{name}/age/mse"] == pytest.approx(error, rel=1e-5)
        assert f"test@{name}/tissue/auc" not in metrics  # one class only
    scores = pd.read_csv(run_dir / "scores.csv").set_index(["split", "cancer", "target"])
    assert scores.loc[("test", "all", "tissue"), "auc"] == metrics["test/tissue/auc"]
    assert scores.loc[("test", "BRCA", "age"), "mse"] == pytest.approx(metrics["test@BRCA/age/mse"])
    written = json.loads((run_dir / "metrics.json").read_text())
    assert next(iter(written)) == "test/overall"
    area = metrics["test/tissue/auc"]
    assert written["test/auc"] == {"value": area, "per_class": {"tissue": area}}


def test_epoch_chosen_on_test_is_never_called_a_test(tmp_path: Path, data: tuple[Cohort, MemoryStore]) -> None:
    run_dir = tmp_path / "run"
    overrides = ["bags.official_test_selection=true", "trainer.max_epochs=2"]
    metrics = train_head(_config(run_dir, *overrides), *data)
    assert {name.partition("/")[0] for name in metrics} == {"selected_on_test", "train", "epoch"}
    predictions = pd.read_parquet(run_dir / "predictions.parquet")
    assert set(predictions["split"]) == {"train", "test"}
    assert len(predictions) == 22
    log = pd.read_csv(run_dir / "csv" / "metrics.csv")
    assert metrics["selected_on_test/loss"] == pytest.approx(log["selected_on_test/loss"].min())
    assert {"test/loss", "val/loss"}.isdisjoint(log)
    assert "selected_on_test/loss" in pd.read_csv(run_dir / "epochs.csv")


def test_split_seed_draws_another_split_for_the_same_first_weights(
    tmp_path: Path, data: tuple[Cohort, MemoryStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[torch.Tensor] = []

    def note(trainer: Trainer, model: BagClassifier, bags: BagDataModule, **more: object) -> None:
        first.append(torch.cat([value.flatten() for value in model.state_dict().values()]))
        raise ConfigError(" ".join(bags.labels_in("test").index))

    monkeypatch.setattr(Trainer, "fit", note)
    tested = []
    for split_seed in (0, 1):
        with pytest.raises(ConfigError) as error:
            train_head(_config(tmp_path / "run", f"bags.split_seed={split_seed}"), *data)
        tested.append(str(error.value))
    assert tested[0] != tested[1]
    assert torch.equal(*first)


def test_numbered_split_columns_of_a_cohort_are_used(tmp_path: Path, data: tuple[Cohort, MemoryStore]) -> None:
    cohort, store = data
    columns = {f"split_{k}": _rotated(cohort, k) for k in (0, 1)}
    numbered = replace(cohort, table=cohort.table.assign(**columns))
    train_head(_config(tmp_path / "run", "trainer.max_epochs=1", "bags.split_seed=1"), numbered, store)
    predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet").set_index("slide_id")
    own = numbered.table.set_index("slide_id")["split_1"]
    assert predictions["split"].to_dict() == own[predictions.index].to_dict()


def _rotated(cohort: Cohort, by: int) -> list[str]:
    patients = sorted(set(cohort.table["patient_id"]))
    names = np.roll(["val", "val", "test", "test"] + ["train"] * (len(patients) - 4), by)
    return [str(names[patients.index(patient)]) for patient in cohort.table["patient_id"]]


def test_multitask_run_resumed_ends_like_an_uninterrupted_one(tmp_path: Path, data: tuple[Cohort, MemoryStore]) -> None:
    cohort, store = data
    age = np.where(cohort.table["tissue"].isna(), np.nan, np.arange(len(cohort)) / 10)
    with_age = replace(cohort, table=cohort.table.assign(age=age)), store
    whole = train_head(_table_config(tmp_path / "whole", "trainer.max_epochs=3"), *with_age)
    train_head(_table_config(tmp_path / "first", "trainer.max_epochs=1"), *with_age)
    last = f"ckpt_path={tmp_path / 'first' / 'checkpoints' / 'last.ckpt'}"
    rest = train_head(_table_config(tmp_path / "rest", "trainer.max_epochs=3", last), *with_age)
    assert rest == whole
