"""A head with its weights, read from a checkpoint of train.py or from HERE's official snapshot.

Source of the snapshot: see `here_checkpoint`. The outputs are shown as HERE's web portal shows them (`app_common.py`):
of a gene, the probability of class 1 among all three classes; of a signature, the number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from src.data.files import digest, written_whole
from src.data.targets import GENE_TARGETS, NOT_SEQUENCED, REGRESSION_TARGETS
from src.errors import ConfigError, WeightsUnavailable
from src.models.heads.head import Head, outputs_of
from src.models.heads.here_checkpoint import read_here
from src.models.heads.known import head_of, head_settings
from src.models.known_tasks import task_of
from src.models.multitask import ClassColumn, MultiTask
from src.models.predicted import Predicted
from src.models.task import Task
from src.models.weights import digest_of, read_torch, refuse_misfits

_SETTINGS = "hyper_parameters"
_WEIGHTS = "state_dict"


@dataclass(frozen=True)
class TrainedHead:
    """A head in eval mode, and what it was trained to say.

    Attributes:
        head: pools the patches of a slide.
        outputs: of the pooled slide, as the task reads them.
        task: what the outputs mean.
    """

    head: Head
    outputs: nn.Linear
    task: Task

    def __post_init__(self) -> None:
        _network(self.head, self.outputs).eval()

    @property
    def dim_in(self) -> int:
        """Columns of the features that it takes."""
        return int(self.head.settings["dim_in"])

    def digest(self) -> str:
        """Names the head's class and all weights."""
        return digest({"head": type(self.head).__name__, "weights": digest_of(_network(self.head, self.outputs))})

    @torch.inference_mode()
    def predictions(self, features: Float32[np.ndarray, "patch feature"]) -> tuple[Predicted, ...]:
        """What it says of a slide, one value per target."""
        outputs = outputs_of(self.outputs, self.head(torch.from_numpy(features)).embedding)
        return self.task.predicted(self.task.predict(outputs))

    @torch.inference_mode()
    def attention(self, features: Float32[np.ndarray, "patch feature"]) -> Float32[np.ndarray, " patch"]:
        """Weight of each patch; they sum to 1."""
        return self.head(torch.from_numpy(features)).attention.numpy()

    def write(self, path: Path) -> None:
        """Write a file that `read_trained_head` reads, without what only training needs."""
        settings = {"head": head_settings(self.head), "task": self.task.settings()}
        with written_whole(path) as temporary:
            torch.save({_SETTINGS: settings, _WEIGHTS: _network(self.head, self.outputs).state_dict()}, temporary)


def read_trained_head(path: Path) -> TrainedHead:
    """Read a checkpoint of train.py, what `TrainedHead.write` wrote, or an official snapshot of HERE.

    Args:
        path: a torch file, or the weights of HERE's attention model as .safetensors.

    Raises:
        WeightsUnavailable: no such file, damaged, or of something else.
    """
    if not path.is_file():
        raise WeightsUnavailable(
            f"head.checkpoint={path}: no such file; give a checkpoint of train.py or an official snapshot of HERE"
        )
    raw = {} if path.suffix == ".safetensors" else read_torch(path)
    return _of_training(raw, path) if _SETTINGS in raw else _official(path)


def _of_training(raw: Mapping[str, Any], path: Path) -> TrainedHead:
    settings, state = raw[_SETTINGS], raw.get(_WEIGHTS)
    if not {"head", "task"} <= set(settings) or not isinstance(state, Mapping):
        raise WeightsUnavailable(f"{path}: a checkpoint of something else, expected one of train.py")
    try:
        head, task = head_of(settings["head"]), task_of(settings["task"])
    except ConfigError as error:
        raise WeightsUnavailable(f"{path}: {error}") from None
    outputs = nn.Linear(head.dim_out, task.n_outputs)
    _load(_network(head, outputs), state, path)
    return TrainedHead(head, outputs, task)


def _official(path: Path) -> TrainedHead:
    head, outputs = read_here(path)
    ignored = str(NOT_SEQUENCED)
    columns = tuple(ClassColumn(name, ("0", "1", ignored), ignored) for name in GENE_TARGETS)
    return TrainedHead(head, outputs, MultiTask(columns, REGRESSION_TARGETS))


def _network(head: Head, outputs: nn.Linear) -> nn.ModuleDict:
    """Both under the names that they have in `BagClassifier`."""
    return nn.ModuleDict({"head": cast(nn.Module, head), "classifier": outputs})


def _load(network: nn.ModuleDict, state: Mapping[str, Tensor], path: Path) -> None:
    wanted = network.state_dict()
    refuse_misfits(
        path,
        missing=[key for key in wanted if key not in state],
        unexpected=[key for key in state if key not in wanted],
        reshaped=[key for key in wanted if key in state and state[key].shape != wanted[key].shape],
        owner="head",
        advice="train it again",
    )
    network.load_state_dict(dict(state))
