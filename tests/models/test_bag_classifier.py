from __future__ import annotations

import logging
import math
import weakref
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning.pytorch import Trainer, seed_everything
from sklearn.metrics import roc_auc_score

from src.errors import ConfigError
from src.interfaces import SlideFeatures
from src.models.auroc import MacroAuroc
from src.models.bag_classifier import BagClassifier, Prediction
from src.models.bag_data import BagDataModule
from src.models.bags import Bag
from src.models.heads.abmil import Abmil
from src.models.resume import BestCheckpoint, History, LastCheckpoint, read_checkpoint, refuse_other_settings
from src.models.tasks import Classification, ClassTask
from tests.models.bags import MemoryStore, cohort_of

_CONF = Path(__file__).resolve().parents[2] / "conf"
_TASK = ClassTask("tissue", ("benign", "tumour"))

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*litlogger.*")


def _bags(signal: float = 4.0, n_patients: int = 12, num_workers: int = 0) -> BagDataModule:
    labels, patients = cohort_of(n_patients)
    store = MemoryStore(labels, patients, signal=signal)
    return BagDataModule(store, labels, patients, max_patches=6, num_workers=num_workers)


def _model(seed: int = 0, lr: float = 1e-2, task: ClassTask = _TASK) -> BagClassifier:
    seed_everything(seed)
    return BagClassifier(Abmil(8, 16, 16, dropout=0.25), task, lr=lr, seed=seed)


def _trainer(folder: Path, max_epochs: int, precision: Literal["32-true", "bf16-mixed"] = "32-true") -> Trainer:
    return Trainer(
        precision=precision,
        accelerator="cpu",
        max_epochs=max_epochs,
        accumulate_grad_batches=4,
        deterministic=True,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[
            BestCheckpoint(dirpath=folder, monitor="val/loss", filename="best"),
            LastCheckpoint(folder),
            History(),
        ],
    )


def _history(trainer: Trainer) -> History:
    return next(callback for callback in trainer.callbacks if isinstance(callback, History))  # type: ignore[attr-defined]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_resumed_training_is_bit_identical_to_an_uninterrupted_one(tmp_path: Path, num_workers: int) -> None:
    whole, whole_trainer = _model(), _trainer(tmp_path / "whole", 4)
    whole_trainer.fit(whole, _bags())

    _trainer(tmp_path / "first", 2).fit(_model(), _bags())
    torch.rand(17)  # another process has another random state
    rest, rest_trainer = _model(), _trainer(tmp_path / "rest", 4)
    rest_trainer.fit(
        rest, _bags(num_workers=num_workers), ckpt_path=tmp_path / "first" / "last.ckpt", weights_only=True
    )

    assert all(torch.equal(whole.state_dict()[name], value) for name, value in rest.state_dict().items())
    assert _history(rest_trainer).epochs == _history(whole_trainer).epochs
    assert len(_history(rest_trainer).epochs) == 4


def test_the_last_checkpoint_is_of_the_last_epoch_though_another_was_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, model = _trainer(tmp_path, 3), _model(lr=0.5)
    monkeypatch.setattr(model, "on_train_epoch_start", lambda: model.classifier.weight.data.mul_(-9))
    trainer.fit(model, _bags())
    best = trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    assert read_checkpoint(Path(best))["epoch"] < 2
    assert read_checkpoint(tmp_path / "last.ckpt")["epoch"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_dropout_and_sampling_make_a_difference_between_seeds(tmp_path: Path) -> None:
    a, b = _model(), _model()
    b.seed = 1
    _trainer(tmp_path / "a", 1).fit(a, _bags())
    _trainer(tmp_path / "b", 1).fit(b, _bags())
    assert not torch.equal(a.classifier.weight, b.classifier.weight)


def test_best_epoch_before_a_resume_stays_the_best_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _trainer(tmp_path / "first", 3)
    first.fit(_model(), _bags())
    best = Path(first.checkpoint_callback.best_model_path)  # type: ignore[union-attr]
    worse = _trainer(tmp_path / "rest", 4)
    model = _model()
    monkeypatch.setattr(model, "on_train_start", lambda: model.classifier.weight.data.mul_(-1))
    worse.fit(model, _bags(), ckpt_path=tmp_path / "first" / "last.ckpt", weights_only=True)
    assert Path(worse.checkpoint_callback.best_model_path) == best  # type: ignore[union-attr]
    assert best.is_file()


def test_classes_that_differ_are_learnt(tmp_path: Path) -> None:
    trainer, model = _trainer(tmp_path, 8), _model()
    trainer.fit(model, _bags())
    tested = trainer.test(model, _bags(), verbose=False)[0]
    assert tested["test/accuracy"] == 1.0
    assert tested["test/auroc"] == 1.0


def test_classes_are_learnt_in_mixed_precision_and_reported_in_full(tmp_path: Path) -> None:
    trainer, model = _trainer(tmp_path, 8, precision="bf16-mixed"), _model()
    trainer.fit(model, _bags())
    assert trainer.test(model, _bags(), verbose=False)[0]["test/accuracy"] == 1.0
    assert all(math.isfinite(row["train/loss"]) for row in _history(trainer).epochs)
    predictions = cast(list[Prediction], trainer.predict(model, _bags().whole("test")))
    assert {each.values.dtype for each in predictions} == {torch.float32}


def test_one_bag_is_held_at_a_time(tmp_path: Path) -> None:
    held: list[weakref.ref[np.ndarray]] = []
    most = []

    class Watched(MemoryStore):
        def load(self, slide_id: str) -> SlideFeatures:
            most.append(sum(each() is not None for each in held))
            slide = super().load(slide_id)
            held.append(weakref.ref(slide.features))
            return slide

    labels, patients = cohort_of(12)
    bags = BagDataModule(Watched(labels, patients), labels, patients)
    trainer, model = _trainer(tmp_path, 2), _model()
    trainer.fit(model, bags)
    trainer.test(model, bags, verbose=False)
    assert len(most) > len(labels)
    assert max(most) <= 1  # the one before, until the next is there


def test_classes_that_do_not_differ_are_not_learnt(tmp_path: Path) -> None:
    trainer, model = _trainer(tmp_path, 5), _model()
    bags = _bags(signal=0.0, n_patients=40)
    trainer.fit(model, bags)
    assert trainer.test(model, bags, verbose=False)[0]["test/auroc"] < 0.85


def test_checkpoint_holds_plain_values_that_rebuild_the_model(tmp_path: Path) -> None:
    model = _model()
    _trainer(tmp_path, 1).fit(model, _bags())
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"] == model.settings()

    kept = checkpoint["hyper_parameters"]
    head = Abmil(**{name: value for name, value in kept["head"].items() if name != "name"})
    task = ClassTask(kept["task"]["label"], tuple(kept["task"]["classes"]), kept["task"]["weights"])
    again = BagClassifier(head, task, kept["lr"], kept["weight_decay"], kept["seed"])
    again.load_state_dict(checkpoint["state_dict"])
    bag = torch.randn(5, 8)
    assert torch.equal(again.eval()(bag)[0], model.eval()(bag)[0])


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    _trainer(tmp_path, 1).fit(_model(), _bags())
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    refuse_other_settings(checkpoint, _model().settings())
    with pytest.raises(ConfigError, match=r"lr was 0.01, is 0.1; restore"):
        refuse_other_settings(checkpoint, _model(lr=0.1).settings())


def test_damaged_or_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    _trainer(tmp_path, 1).fit(_model(), _bags())
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:2000])
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.ckpt")
    for name, message in {"none": "is no file", "cut": "is damaged", "other": "is no checkpoint of"}.items():
        with pytest.raises(ConfigError, match=message):
            read_checkpoint(tmp_path / f"{name}.ckpt")


def test_prediction_is_the_probability_of_each_class() -> None:
    model = _model().eval()
    prediction = model.predict_step(Bag("s", torch.randn(5, 8), "benign"), 0)
    assert prediction.slide_id == "s"
    assert prediction.values.sum().item() == pytest.approx(1)


def test_class_weights_multiply_the_loss_of_a_single_slide() -> None:
    outputs, target = torch.tensor([0.3, -0.2]), torch.tensor(1)
    plain = _TASK.loss(outputs, target)
    assert plain.item() == pytest.approx(-math.log(math.exp(-0.2) / (math.exp(0.3) + math.exp(-0.2))))
    weighted = ClassTask("tissue", ("benign", "tumour"), (0.5, 3.0)).loss(outputs, target)
    assert weighted.item() == pytest.approx(3 * plain.item())


def test_classes_cost_the_same_in_sum_when_they_are_weighted() -> None:
    labels = pd.Series(["b"] * 6 + ["a"] * 2 + ["c"], dtype=object)
    task = Classification("x", weight_classes=True).fit(labels)
    assert task.classes == ("a", "b", "c")
    assert task.weights is not None
    assert [w * n for w, n in zip(task.weights, (2, 6, 1), strict=True)] == pytest.approx([3, 3, 3])
    assert Classification("x").fit(labels).weights is None


def test_slides_without_label_or_features_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    labels = pd.Series({"s1": "a", "s2": "b", "s3": None, "s4": "a"}, dtype=object)
    with caplog.at_level(logging.WARNING):
        assert Classification("tissue").labelled(labels, ["s1", "s2", "s3"]).to_dict() == {"s1": "a", "s2": "b"}
    assert "tissue: left out 1 slides without features, 1 without label" in caplog.text


def test_task_with_one_class_is_refused() -> None:
    labels = pd.Series({"s1": "a", "s2": "a"}, dtype=object)
    with pytest.raises(ConfigError, match="tissue: 2 labelled slides with features have 1 class"):
        Classification("tissue").labelled(labels, ["s1", "s2"])


def test_macro_auroc_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 40)
    scores = rng.dirichlet(np.ones(3), 40).round(1)  # with ties
    metric = MacroAuroc()
    metric.update(torch.from_numpy(scores[:25]), torch.from_numpy(targets[:25]))
    metric.update(torch.from_numpy(scores[25:]), torch.from_numpy(targets[25:]))
    areas = [roc_auc_score(targets == name, scores[:, name]) for name in range(3)]
    assert metric.compute().item() == pytest.approx(np.mean(areas))


def test_macro_auroc_leaves_out_an_absent_class_and_is_nan_when_there_is_one_class_only() -> None:
    scores = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.6, 0.3, 0.1]])
    metric = MacroAuroc()
    metric.update(scores, torch.tensor([0, 1, 0]))
    assert metric.compute().item() == 1.0
    metric.reset()
    metric.update(scores[:1], torch.tensor([0]))
    assert metric.compute().isnan()


def test_metrics_are_logged_per_split_at_the_end_of_an_epoch(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, 1)
    trainer.fit(_model(), _bags())
    expected = {
        f"{split}/{metric}"
        for split in ("train", "val")
        for metric in ("loss", "accuracy", "balanced_accuracy", "auroc")
    }
    assert expected <= set(_history(trainer).epochs[0])


def _composed() -> Any:
    with initialize_config_dir(str(_CONF), version_base="1.3"):
        parts = ["+seed=3", "+data={label: tissue}", "+head=abmil", "+task=classification", "+model=bag_classifier"]
        return compose(overrides=[*parts, "bags.max_patches=7"])


def test_configs_build_their_parts() -> None:
    cfg = _composed()
    assert instantiate(cfg.task) == Classification("tissue", weight_classes=False)
    model = instantiate(cfg.model)(instantiate(cfg.head)(8), _TASK)
    assert (model.lr, model.weight_decay, model.seed) == (1e-4, 1e-5, 3)
    labels, patients = cohort_of(12)
    bags = instantiate(cfg.bags, _convert_="all")(MemoryStore(labels, patients), labels, patients)
    assert (bags.seed, bags.max_patches) == (3, 7)
