"""Official checkpoints of HERE, read into a head and the linear layer of its outputs.

Source: data2intelligence/HERE_training, model.py and train.py (commit aea9856). A snapshot is
`{MODEL_STATE, EPOCHS_RUN}`; the weights alone are read as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from src.data.targets import GENE_TARGETS, REGRESSION_TARGETS
from src.errors import WeightsUnavailable
from src.models.heads.here import Here
from src.models.weights import read_state, refuse_misfits

_OURS = {
    "attention_net.0": "project.0",
    "attention_net.3.attention_a.0": "gate_a.0",
    "attention_net.3.attention_b.0": "gate_b.0",
    "attention_net.3.attention_c": "score",
    "rho.0": "rho.0",
}
"""Layer of the official network: layer of `Here`."""

_N_CLASSES = 3
_PROJECTION = "attention_net.0.weight"
_GATE = "attention_net.3.attention_a.0.weight"


def read_here(
    path: Path,
    classification: Sequence[str] = GENE_TARGETS,
    regression: Sequence[str] = REGRESSION_TARGETS,
    dropout: float = 0.25,
) -> tuple[Here, nn.Linear]:
    """The head and its outputs, in eval mode; rows are three per classification, then one per regression.

    That is the order of the outputs of `MultiTask` with the same columns.

    Args:
        path: an official snapshot, or its weights as .safetensors or a torch file.
        classification: the tasks `classifiers.<task>`.
        regression: the tasks `regressors.<task>`.
        dropout: for training on; the file does not say it.

    Raises:
        WeightsUnavailable: no such file, damaged, or holding anything less, more or of another shape.
    """
    if not path.is_file():
        raise WeightsUnavailable(f"{path}: no such file; give a checkpoint of HERE's attention model")
    state = read_state(path)
    layers = [f"classifiers.{task}" for task in classification] + [f"regressors.{task}" for task in regression]
    head = _head_for(state, dropout, path)
    wanted = _shapes(head, layers)
    refuse_misfits(
        path,
        missing=[key for key in wanted if key not in state],
        unexpected=[key for key in state if key not in wanted],
        reshaped=[key for key in wanted if key in state and state[key].shape != wanted[key]],
        owner="attention model of HERE",
        advice="give a checkpoint of it with these tasks",
    )
    head.load_state_dict({f"{_OURS[layer]}.{kind}": state[f"{layer}.{kind}"] for layer, kind in _keys(_OURS)})
    return head.eval(), _joined(state, layers).eval()


def _head_for(state: Mapping[str, Tensor], dropout: float, path: Path) -> Here:
    projection, gate = (state.get(key) for key in (_PROJECTION, _GATE))
    if projection is None or gate is None or projection.ndim != 2 or gate.ndim != 2:
        raise WeightsUnavailable(
            f"{path}: no weights of HERE's attention model ({_PROJECTION} and {_GATE} are not matrices in it); "
            "give a checkpoint of it"
        )
    return Here(projection.shape[1], projection.shape[0], gate.shape[0], dropout)


def _shapes(head: Here, layers: Sequence[str]) -> dict[str, torch.Size]:
    """Shape of every tensor of the official file."""
    own = head.state_dict()
    shapes = {f"{layer}.{kind}": own[f"{_OURS[layer]}.{kind}"].shape for layer, kind in _keys(_OURS)}
    for layer in layers:
        n = _N_CLASSES if layer.startswith("classifiers.") else 1
        shapes |= {f"{layer}.weight": torch.Size([n, head.dim_out]), f"{layer}.bias": torch.Size([n])}
    return shapes


def _keys(layers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(layer, kind) for layer in layers for kind in ("weight", "bias")]


def _joined(state: Mapping[str, Tensor], layers: Sequence[str]) -> nn.Linear:
    weight = torch.cat([state[f"{layer}.weight"] for layer in layers])
    outputs = nn.Linear(weight.shape[1], weight.shape[0])
    outputs.load_state_dict({"weight": weight, "bias": torch.cat([state[f"{layer}.bias"] for layer in layers])})
    return outputs
