from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch

from src.data.targets import TARGETS
from src.errors import WeightsUnavailable
from src.models.bag_classifier import BagClassifier
from src.models.heads.abmil import Abmil
from src.models.heads.clam import Clam
from src.models.heads.head import Head
from src.models.heads.here import Here
from src.models.heads.known import MODULES
from src.models.known_tasks import task_of
from src.models.task import Task
from src.models.tasks import ClassTask
from src.models.trained_head import read_trained_head
from tests.models.here66 import here66
from tests.models.official_here import official_state

HEADS = sorted((Path(__file__).resolve().parents[2] / "conf" / "head").glob("*.yaml"))
TISSUE = ClassTask("tissue", ("gland", "stroma", "tumour"), (1.0, 2.0, 0.5))


def bag(dim: int, n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


def checkpoint(path: Path, model: BagClassifier) -> Path:
    trainer = lightning.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", barebones=True)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(path)
    return path


def snapshot(path: Path, dim: int) -> Path:
    torch.save({"MODEL_STATE": official_state(dim), "EPOCHS_RUN": 53}, path)
    return path


@pytest.mark.parametrize("task", [TISSUE, here66()], ids=["classification", "here66"])
def test_a_checkpoint_of_training_says_what_the_trained_network_says(tmp_path: Path, task: Task) -> None:
    model = BagClassifier(Here(6, 8, 4), task).eval()
    trained = read_trained_head(checkpoint(tmp_path / "last.ckpt", model))
    with torch.no_grad():
        outputs, pooled = model(torch.from_numpy(bag(6)))
    assert trained.task == task
    assert trained.predictions(bag(6)) == task.predicted(task.predict(outputs))
    np.testing.assert_array_equal(trained.attention(bag(6)), pooled.attention)


def test_outputs_with_branches_of_their_own_are_said_as_in_training(tmp_path: Path) -> None:
    model = BagClassifier(Clam(6, 3, is_multibranch=True, dim_hidden=8), TISSUE).eval()
    trained = read_trained_head(checkpoint(tmp_path / "last.ckpt", model))
    with torch.no_grad():
        outputs, _ = model(torch.from_numpy(bag(6)))
    assert trained.predictions(bag(6)) == TISSUE.predicted(TISSUE.predict(outputs))


@pytest.mark.parametrize("path", HEADS, ids=lambda path: path.stem)
def test_every_head_that_can_be_trained_is_known(path: Path) -> None:
    assert path.read_text().split("_target_: ")[1].split()[0] in {
        f"{module}.{name}" for name, module in MODULES.items()
    }


@pytest.mark.parametrize("task", [TISSUE, here66(), here66({name: [1, 2, 0] for name in TARGETS[:11]}, True)])
def test_a_task_is_made_again_from_its_settings(task: Task) -> None:
    assert task_of(task.settings()) == task


def test_an_official_snapshot_names_the_effect_of_each_gene_and_every_signature(tmp_path: Path) -> None:
    trained = read_trained_head(snapshot(tmp_path / "snapshot.pt", 6))
    said = {predicted.name: predicted for predicted in trained.predictions(bag(6))}
    assert tuple(said) == TARGETS
    effects = [said[f"{gene}_cls"].class_name for gene in ("TP53", "KRAS", "IDH1")]
    assert effects == ["loss", "gain", "switch"]
    with torch.no_grad():
        outputs = trained.outputs(trained.head(torch.from_numpy(bag(6))).embedding)
    assert said["CDH1_cls"].value == pytest.approx(outputs[:3].softmax(0)[1].item())
    assert said["HALLMARK_XENOBIOTIC_METABOLISM_sum"].value == pytest.approx(outputs[-1].item())
    assert said["HALLMARK_XENOBIOTIC_METABOLISM_sum"].kind == "number"


def test_of_three_classes_the_most_probable_one_is_said() -> None:
    (said,) = TISSUE.predicted(torch.tensor([0.25, 0.25, 0.5]))
    assert (said.kind, said.class_name, said.value) == ("class", "tumour", 0.5)


def test_what_is_written_is_read_as_the_same_head(tmp_path: Path) -> None:
    trained = read_trained_head(snapshot(tmp_path / "snapshot.pt", 6))
    trained.write(tmp_path / "head.pt")
    again = read_trained_head(tmp_path / "head.pt")
    assert again.digest() == trained.digest()
    assert again.predictions(bag(6)) == trained.predictions(bag(6))


def test_the_digest_tells_weights_and_heads_apart(tmp_path: Path) -> None:
    heads: list[Head] = [Here(6, 8, 4), Here(6, 8, 4), Abmil(6, 8, 4)]
    paths = [checkpoint(tmp_path / f"{i}.ckpt", BagClassifier(head, TISSUE)) for i, head in enumerate(heads)]
    assert len({read_trained_head(path).digest() for path in paths}) == 3
    assert read_trained_head(paths[0]).digest() == read_trained_head(paths[0]).digest()


def _edited(path: Path, **changes: Any) -> None:
    raw = torch.load(checkpoint(path, BagClassifier(Abmil(6, 8, 4), TISSUE)), weights_only=True)
    torch.save(raw | changes, path)


def test_files_of_anything_else_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "head.ckpt"
    state = {"head.x": torch.zeros(1)}
    task = TISSUE.settings()
    cases: dict[str, dict[str, Any]] = {
        "keys missing .* keys unexpected": {"state_dict": state},
        "expected one of train.py": {"hyper_parameters": {"lr": 1.0}},
        "'Transformer' is not known; expected one of Abmil": {
            "hyper_parameters": {"head": {"name": "Transformer"}, "task": task}
        },
        "head Abmil: .*'depth'.*train it again": {
            "hyper_parameters": {"head": {"name": "Abmil", "dim_in": 6, "depth": 2}, "task": task}
        },
        "task: .*'colour'.*train it again": {
            "hyper_parameters": {"head": {"name": "Abmil", "dim_in": 6}, "task": {**task, "colour": 1}}
        },
    }
    for message, changes in cases.items():
        _edited(path, **changes)
        with pytest.raises(WeightsUnavailable, match=message) as error:
            read_trained_head(path)
        assert "\n" not in str(error.value)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsUnavailable, match="damaged"):
        read_trained_head(path)
    with pytest.raises(WeightsUnavailable, match=r"head\.checkpoint=.*none\.ckpt: no such file"):
        read_trained_head(tmp_path / "none.ckpt")
