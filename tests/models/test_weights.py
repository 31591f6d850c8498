import argparse
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from src.errors import WeightsUnavailable
from src.models.weights import digest_of, load_checkpoint, load_strictly, read_state, renamed


class Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.sentinel,)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "teacher"])
def test_wrappers_and_data_parallel_prefixes_are_taken_off(tmp_path: Path, wrapper: str) -> None:
    state = network().state_dict()
    wrapped = {wrapper: {f"module.{key}": value for key, value in state.items()}, "epoch": 3}
    assert same(read_state(saved(tmp_path / "a.pth", wrapped)), state)


def test_safetensors_and_torch_files_give_the_same_state(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    assert same(read_state(tmp_path / "a.safetensors"), read_state(saved(tmp_path / "a.pth", state)))


def test_the_command_line_in_a_dino_checkpoint_does_not_matter(tmp_path: Path) -> None:
    state = network().state_dict()
    path = saved(tmp_path / "dino.pth", {"teacher": state, "args": argparse.Namespace(lr=0.1)})
    assert same(read_state(path), state)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    bad = saved(tmp_path / "bad.pth", {"state_dict": Touch(sentinel)})
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Touch(sentinel), protocol=2))
    for path in (bad, tmp_path / "plain.pth"):
        with pytest.raises(WeightsUnavailable, match=r"refused.*\.safetensors"):
            read_state(path)
    assert not sentinel.exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_truncated_files_are_named_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("pth"):
        torch.save(network().state_dict(), path)
    else:
        save_file(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsUnavailable, match=name) as error:
        read_state(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, torch.zeros(3)])
def test_files_without_a_state_dict_are_refused(tmp_path: Path, content: object) -> None:
    if isinstance(content, torch.Tensor):
        content = {"a": content, "b": "text"}
    with pytest.raises(WeightsUnavailable, match="no state dict"):
        read_state(saved(tmp_path / "a.pth", content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="no such file"):
        read_state(tmp_path / "none.pth")


def test_missing_unexpected_and_reshaped_keys_are_counted_and_named() -> None:
    state = network().state_dict()
    state["0.weight"] = torch.zeros(4, 3, 5, 5)
    state["extra"] = torch.zeros(1)
    del state["1.bias"]
    with pytest.raises(WeightsUnavailable) as error:
        load_strictly(network(), state, Path("x.pth"))
    for part in ("x.pth", "1 keys missing (1.bias)", "1 keys unexpected (extra)", "1 keys of another shape (0.weight)"):
        assert part in str(error.value)


def test_only_a_classifier_may_be_left_out() -> None:
    state = network().state_dict()
    for head in ("classifier.weight", "head.fc.bias", "fc.weight"):
        load_strictly(network(), {**state, head: torch.zeros(2)}, Path("x.pth"))
    with pytest.raises(WeightsUnavailable, match="header"):
        load_strictly(network(), {**state, "header.weight": torch.zeros(2)}, Path("x.pth"))


def test_a_head_that_the_network_has_is_not_left_out() -> None:
    module = nn.Sequential()
    module.add_module("head", nn.Linear(2, 2))
    with pytest.raises(WeightsUnavailable, match=r"head\.bias"):
        load_strictly(module, {"head.weight": torch.zeros(2, 2)}, Path("x.pth"))


def test_old_files_without_step_counters_load() -> None:
    state = {key: value for key, value in network().state_dict().items() if "num_batches" not in key}
    load_strictly(network(), state, Path("x.pth"))


def test_half_precision_values_load_into_a_float_network(tmp_path: Path) -> None:
    state = {key: value.half() for key, value in network().state_dict().items()}
    module = load_checkpoint(network(), saved(tmp_path / "a.pth", state), {}, [])
    assert next(module.parameters()).dtype == torch.float32


def test_keys_are_ignored_then_renamed() -> None:
    state = {"visual.a": torch.zeros(1), "text.a": torch.ones(1)}
    assert list(renamed(state, {r"^visual\.": ""}, [r"^text\."])) == ["a"]


def test_the_digest_changes_with_any_weight_and_with_nothing_else() -> None:
    first, second = network(), network()
    assert digest_of(first) == digest_of(second)
    with torch.no_grad():
        second.get_parameter("0.bias")[0] += 1e-6
    assert digest_of(first) != digest_of(second)
    assert len(digest_of(first.to(torch.bfloat16))) == 12
