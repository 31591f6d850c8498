"""Where a training starts when it does not start from random weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

from torch import nn

from src.errors import IncompatibleParts
from src.models.bag_classifier import BagClassifier
from src.models.task import Task
from src.models.trained_head import TrainedHead, read_trained_head

log = logging.getLogger(__name__)

_FREE = ("dropout",)  # settings that shape no weight


def start_from(model: BagClassifier, path: Path) -> None:
    """Give a model the weights of a trained head, and of its outputs where they mean the same.

    Args:
        model: as it was made.
        path: a checkpoint of train.py, or HERE's official snapshot.

    Raises:
        WeightsUnavailable: no such file, damaged, or of something else.
        IncompatibleParts: a head of another class or size.
    """
    trained = read_trained_head(path)
    _refuse_another(model, trained, path)
    cast(nn.Module, model.head).load_state_dict(cast(nn.Module, trained.head).state_dict())
    is_same_task = _meaning(trained.task) == _meaning(model.task)
    if is_same_task:
        model.classifier.load_state_dict(trained.outputs.state_dict())
    log.info("started from %s, %s", path, "outputs too" if is_same_task else "with new outputs, as the task is another")


def _refuse_another(model: BagClassifier, trained: TrainedHead, path: Path) -> None:
    before, now = _shape(trained.head), _shape(model.head)
    if before != now:
        raise IncompatibleParts(f"head.checkpoint={path} is a head {before}, the run's is {now}; choose it with head=")


def _shape(head: object) -> dict[str, object]:
    settings = getattr(head, "settings", {})
    return {"name": type(head).__name__, **{key: value for key, value in settings.items() if key not in _FREE}}


def _meaning(task: Task) -> object:
    """What each output is: the classes of every classification, the numbers; not what they cost."""
    settings = task.settings()
    columns = [(column["name"], column["classes"]) for column in settings.get("classification", ())]
    return columns, settings.get("regression"), settings.get("label"), settings.get("classes")
