from __future__ import annotations

from pathlib import Path

import pytest
import torch

from src.errors import IncompatibleParts, WeightsUnavailable
from src.models.bag_classifier import BagClassifier
from src.models.heads.abmil import Abmil
from src.models.heads.here import Here
from src.models.start import start_from
from src.models.tasks import ClassTask
from tests.models.here66 import here66
from tests.models.official_here import official_state
from tests.models.test_trained_head import checkpoint

_TISSUE = ClassTask("tissue", ("gland", "stroma"))


def test_training_starts_from_the_weights_of_another_one_outputs_included(tmp_path: Path) -> None:
    before, model = BagClassifier(Abmil(6, 8, 4, 0.0), _TISSUE), BagClassifier(Abmil(6, 8, 4, 0.5), _TISSUE)
    start_from(model, checkpoint(tmp_path / "last.ckpt", before))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.state_dict().items())


def test_outputs_of_another_task_are_drawn_anew(tmp_path: Path) -> None:
    before = BagClassifier(Abmil(6, 8, 4), _TISSUE)
    model = BagClassifier(Abmil(6, 8, 4), ClassTask("grade", ("gland", "stroma")))
    drawn = model.classifier.weight.clone()
    start_from(model, checkpoint(tmp_path / "last.ckpt", before))
    heads = [
        {name: value for name, value in m.state_dict().items() if name.startswith("head")} for m in (before, model)
    ]
    assert all(torch.equal(value, heads[1][name]) for name, value in heads[0].items())
    assert torch.equal(model.classifier.weight, drawn)


def test_training_starts_from_an_official_snapshot(tmp_path: Path) -> None:
    state = official_state(6)
    torch.save({"MODEL_STATE": state, "EPOCHS_RUN": 53}, tmp_path / "snapshot.pt")
    hidden, inner = state["attention_net.0.weight"].shape[0], state["attention_net.3.attention_a.0.weight"].shape[0]
    model = BagClassifier(Here(6, hidden, inner), here66())
    start_from(model, tmp_path / "snapshot.pt")
    assert torch.equal(model.classifier.weight[:3], state["classifiers.CDH1_cls.weight"])


def test_head_of_another_class_or_size_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "last.ckpt", BagClassifier(Abmil(6, 8, 4), _TISSUE))
    for head in (Here(6, 8, 4), Abmil(6, 16, 4), Abmil(7, 8, 4)):
        with pytest.raises(IncompatibleParts, match=r"is a head .*'Abmil'.*, the run's is .*; choose it"):
            start_from(BagClassifier(head, _TISSUE), path)
    with pytest.raises(WeightsUnavailable, match="no such file"):
        start_from(BagClassifier(Abmil(6, 8, 4), _TISSUE), tmp_path / "none.ckpt")
