from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from src.data.targets import GENE_TARGETS, REGRESSION_TARGETS
from src.errors import WeightsUnavailable
from src.models.bag_classifier import BagClassifier
from src.models.heads.here import Here
from src.models.heads.here_checkpoint import read_here
from tests.models.here66 import here66
from tests.models.official_here import official_state


def _saved(folder: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"MODEL_STATE": state, "EPOCHS_RUN": 53}, folder / "snapshot.pt")
    return folder / "snapshot.pt"


def _close(ours: Tensor, recorded: Tensor) -> None:
    torch.testing.assert_close(ours, recorded, rtol=1e-5, atol=1e-5)


@pytest.mark.golden
def test_every_output_is_that_of_the_official_network(golden_dir: Path, tmp_path: Path) -> None:
    with np.load(golden_dir / "here_attention.npz", allow_pickle=False) as file:
        recorded = {key: torch.from_numpy(file[key]) for key in file.files}
    state = {key.removeprefix("state/"): value for key, value in recorded.items() if key.startswith("state/")}
    head, outputs = read_here(_saved(tmp_path, state))
    bag = recorded["bag"][0]
    with torch.no_grad():
        pooled, hidden = head(bag), head.project(bag)
        _close(head.project[0](bag), recorded["patch_prerelu"])
        _close(head.score(head.gate_a(hidden) * head.gate_b(hidden))[:, 0], recorded["A_raw"][0])
        _close(pooled.attention, recorded["A"][0])
        _close(pooled.attention @ hidden, recorded["global_feat"][0])
        _close(pooled.embedding, recorded["rho_out"][0])
        _close(pooled.attention @ head.project[0](bag), recorded["query_unnormalised"].flatten())
        _close(head.patch_vectors(bag), recorded["patch_index_vectors"])
        _close(head.query_vector(bag), recorded["query_vector"].flatten())
        parts = outputs(pooled.embedding).split([3] * 11 + [1] * 55)
    for task, part in zip((*GENE_TARGETS, *REGRESSION_TARGETS), parts, strict=True):
        _close(part, recorded[f"out/{task}_logits"].flatten())


def test_head_and_outputs_have_as_many_parameters_as_the_official_network() -> None:
    model = BagClassifier(Here(512), here66())
    assert sum(parameter.numel() for parameter in model.parameters()) == 351_577


def test_every_layer_starts_with_zero_biases_and_xavier_weights() -> None:
    model = BagClassifier(Here(512), here66())
    assert all(not value.any() for name, value in model.named_parameters() if name.endswith("bias"))
    for rows, size in ((slice(0, 33), 3), (slice(33, 88), 1)):
        bound = (6 / (256 + size)) ** 0.5
        assert 0.99 * bound < model.classifier.weight[rows].abs().max().item() <= bound


def test_length_of_the_features_plays_no_part_in_an_untrained_head_as_its_biases_are_zero() -> None:
    head, bag = Here(5).eval(), torch.randn(7, 5)
    torch.testing.assert_close(head.patch_vectors(3 * bag), head.patch_vectors(bag))


def test_bare_weights_and_those_of_a_parallel_run_are_read_like_a_snapshot(tmp_path: Path) -> None:
    state = official_state(6)
    snapshot, outputs = read_here(_saved(tmp_path, state))
    torch.save(state, tmp_path / "bare.pt")
    torch.save({"MODEL_STATE": {f"module.{k}": v for k, v in state.items()}, "EPOCHS_RUN": 1}, tmp_path / "ddp.pt")
    for name in ("bare", "ddp"):
        again, same_outputs = read_here(tmp_path / f"{name}.pt")
        assert all(torch.equal(again.state_dict()[key], value) for key, value in snapshot.state_dict().items())
        assert torch.equal(same_outputs.weight, outputs.weight)
    assert not snapshot.training


def test_weights_of_anything_else_are_refused_in_one_line(tmp_path: Path) -> None:
    state = official_state(6)
    cases = {
        r"1 keys missing \(rho.0.bias\)": {key: value for key, value in state.items() if key != "rho.0.bias"},
        r"1 keys unexpected \(head.x\)": state | {"head.x": torch.zeros(1)},
        r"1 keys of another shape \(classifiers.TP53_cls": state | {"classifiers.TP53_cls.bias": torch.zeros(2)},
        "no weights of HERE's attention model": {"conv.weight": torch.zeros(3, 3)},
    }
    for message, wrong in cases.items():
        with pytest.raises(WeightsUnavailable, match=message) as error:
            read_here(_saved(tmp_path, wrong))
        assert "\n" not in str(error.value)
    with pytest.raises(WeightsUnavailable, match="no such file"):
        read_here(tmp_path / "none.pt")
    with pytest.raises(WeightsUnavailable, match="keys missing"):
        read_here(_saved(tmp_path, official_state(6, genes=GENE_TARGETS[:3])))
