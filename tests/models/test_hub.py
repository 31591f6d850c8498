import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RemoteEntryNotFoundError, RepositoryNotFoundError

from src.errors import WeightsUnavailable
from src.models import hub

SOURCE = "hf://MahmoodLab/UNI/pytorch_model.bin"


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(hub, "_answers", refuse)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_answers", lambda url: True)


def cached(folder: str, name: str) -> Path:
    root = Path(constants.HF_HUB_CACHE) / folder
    commit = "0" * 40
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    file = root / "snapshots" / commit / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    return file


@pytest.mark.usefixtures("no_network")
def test_cached_files_need_no_network() -> None:
    file = cached("models--MahmoodLab--UNI", "pytorch_model.bin")
    assert hub.fetch(SOURCE, "uni") == file


@pytest.mark.usefixtures("no_network")
def test_files_of_cached_data_sets_need_no_network() -> None:
    file = cached("datasets--MahmoodLab--hest-bench", "fm_v1/ctranspath/a.pth")
    assert hub.fetch("hf://datasets/MahmoodLab/hest-bench/fm_v1/ctranspath/a.pth", "ctranspath") == file


@pytest.mark.usefixtures("no_network")
def test_cached_folders_need_no_network() -> None:
    file = cached("models--google--path-foundation", "saved_model.pb")
    assert hub.fetch("hf://google/path-foundation", "path_foundation") == file.parent


@pytest.mark.usefixtures("no_network")
def test_cached_downloads_of_urls_need_no_network(tmp_path: Path) -> None:
    file = tmp_path / "torch" / "checkpoints" / "dino.torch"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    assert hub.fetch("https://github.com/a/b/releases/download/c/dino.torch", "lunit") == file


@pytest.mark.parametrize("source", [SOURCE, "hf://google/path-foundation", "https://github.com/a/b/dino.torch"])
def test_offline_fails_within_five_seconds_even_if_names_do_not_resolve(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    def hang(*_: Any, **__: Any) -> None:
        time.sleep(30)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(hub, "_PROBE_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(WeightsUnavailable, match=r"cannot be reached.*encoder\.checkpoint=FILE"):
        hub.fetch(source, "uni")
    assert time.monotonic() - start < 2


def test_the_probe_is_limited_to_less_than_five_seconds() -> None:
    assert hub._PROBE_SECONDS < 5


@pytest.mark.usefixtures("no_network")
def test_hf_hub_offline_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE"):
        hub.fetch(SOURCE, "uni")


def answer(status: int) -> Any:
    return SimpleNamespace(status_code=status, headers={}, request=None)


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (GatedRepoError("gated", response=answer(403)), "gated; accept the licence at huggingface.co/MahmoodLab/UNI"),
        (HfHubHTTPError("no", response=answer(401)), "hf auth login"),
        (HfHubHTTPError("no", response=answer(500)), "answered 500"),
        (RepositoryNotFoundError("no", response=answer(404)), "does not exist or is private"),
        (RemoteEntryNotFoundError("no", response=answer(404)), "has no file pytorch_model.bin"),
        (ConnectionError("cut off"), "cut off"),
    ],
)
def test_each_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch, error: Exception, words: str) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(WeightsUnavailable) as raised:
        hub.fetch(SOURCE, "uni")
    message = str(raised.value)
    assert message.startswith("uni: ")
    assert words in message
    assert "encoder.checkpoint=FILE" in message
    assert "\n" not in message


@pytest.mark.usefixtures("online")
def test_what_is_not_cached_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def download(repo_id: str, filename: str, **_: Any) -> str:
        asked.append((repo_id, filename))
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert hub.fetch(SOURCE, "uni") == tmp_path / "pytorch_model.bin"
    assert asked == [("MahmoodLab/UNI", "pytorch_model.bin")]


@pytest.mark.usefixtures("online")
def test_a_broken_download_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def break_off(url: str, path: str, progress: bool) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("reset")

    monkeypatch.setattr(torch.hub, "download_url_to_file", break_off)
    with pytest.raises(WeightsUnavailable, match="reset"):
        hub.fetch("https://github.com/a/b/dino.torch", "lunit")
    assert list((tmp_path / "torch" / "checkpoints").iterdir()) == []


@pytest.mark.usefixtures("no_network")
def test_weights_on_no_hub_are_asked_for_as_a_checkpoint() -> None:
    with pytest.raises(WeightsUnavailable, match=r"on no hub; get them \(a form\) and set encoder\.checkpoint=FILE"):
        hub.fetch("a form", "kimianet")
