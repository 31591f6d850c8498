from pathlib import Path

import pytest
import torch

from src.errors import WeightsUnavailable
from src.models.hashing.network import HashEncoder, read_hash_encoder


def encoder(seed: int = 0) -> HashEncoder:
    torch.manual_seed(seed)
    return HashEncoder(12, 16)


def test_a_slide_is_the_mean_of_its_vectors_weighted_values() -> None:
    network, vectors = encoder(), torch.randn(3, 5, 12)
    values = vectors @ network.fc.weight.T + network.fc.bias
    attention = torch.softmax(vectors @ network.attention_layer.weight[0] + network.attention_layer.bias, dim=1)
    expected = torch.tanh((values * attention[..., None]).sum(1) / 5)
    torch.testing.assert_close(network(vectors), expected)


def test_weights_of_a_slide_are_one_on_average_and_follow_the_attention() -> None:
    network, vectors = encoder(), torch.randn(5, 12)
    weights = network.weights(vectors)
    assert weights.mean().item() == pytest.approx(1)
    scores = network.attention_layer(vectors)[:, 0]
    assert weights.argsort().tolist() == scores.argsort().tolist()


def test_names_and_shapes_are_those_of_the_official_checkpoint() -> None:
    shapes = {name: tuple(value.shape) for name, value in HashEncoder(512, 1024).state_dict().items()}
    assert shapes == {
        "fc.weight": (1024, 512),
        "fc.bias": (1024,),
        "attention_layer.weight": (1, 512),
        "attention_layer.bias": (1,),
    }


@pytest.mark.parametrize("prefix", ["", "module.", "encoder_q."])
def test_checkpoints_of_hshr_and_of_train_are_read(tmp_path: Path, prefix: str) -> None:
    network, vectors = encoder(), torch.randn(5, 12)
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    more = {"queue": torch.zeros(4, 16), "encoder_k.fc.weight": torch.zeros(16, 12)} if "q" in prefix else {}
    torch.save({"state_dict": state | more}, tmp_path / "model_best.pth")
    read = read_hash_encoder(tmp_path / "model_best.pth")
    torch.testing.assert_close(read.codes(vectors), network.codes(vectors))
    assert not read.training


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"fc.bias": torch.zeros(4)}, "fc.weight is no matrix in it"),
        ({"fc.weight": torch.zeros(4, 3)}, "3 keys missing"),
    ],
)
def test_other_weights_are_refused_in_one_line(tmp_path: Path, state: dict[str, torch.Tensor], message: str) -> None:
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(WeightsUnavailable, match=rf"^[^\n]*other.pth: [^\n]*{message}[^\n]*$"):
        read_hash_encoder(tmp_path / "other.pth")
