"""The one border to model hubs: a file that is cached is used without the network, any other is downloaded.

Sources: `hf://OWNER/REPO/FILE` and `hf://datasets/OWNER/REPO/FILE` (huggingface.co), `hf://OWNER/REPO` (all of its
files), `https://...` (cached in the folder of torch.hub). Without a network the answer comes within five seconds.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from src.data.files import written_whole
from src.errors import WeightsUnavailable

_PROBE_SECONDS = 3.0
_OR_LOCAL = "or set encoder.checkpoint=FILE"


@dataclass(frozen=True)
class _HubFile:
    repo_id: str
    repo_type: str
    filename: str

    @property
    def page(self) -> str:
        return f"huggingface.co/{'datasets/' if self.repo_type == 'dataset' else ''}{self.repo_id}"


def fetch(source: str, encoder: str) -> Path:
    """Path of the weights at `source`: a file, or a folder when the source names a whole repository.

    Args:
        source: where the weights lie; forms above. Anything else is a place where a person can get them.
        encoder: name that error messages give.

    Raises:
        WeightsUnavailable: not cached, and offline, gated, missing or not on a hub; says what to do.
    """
    if source.startswith("hf://"):
        return _from_hub(_parsed(source), encoder)
    if source.startswith("https://"):
        return _from_url(source, encoder)
    raise WeightsUnavailable(
        f"{encoder}: its weights are on no hub; get them ({source}) and set encoder.checkpoint=FILE"
    )


def _parsed(source: str) -> _HubFile:
    parts = source.removeprefix("hf://").split("/")
    is_dataset = parts[0] == "datasets"
    owner, repo, *path = parts[1:] if is_dataset else parts
    return _HubFile(f"{owner}/{repo}", "dataset" if is_dataset else "model", "/".join(path))


def _from_hub(file: _HubFile, encoder: str) -> Path:
    cached = _cached(file)
    if cached is not None:
        return cached
    if constants.is_offline_mode():
        raise WeightsUnavailable(
            f"{encoder}: {file.page} is not cached and HF_HUB_OFFLINE is set; unset it to download, {_OR_LOCAL}"
        )
    _require_answer(constants.ENDPOINT, file.page, encoder)
    return _downloaded(file, encoder)


def _cached(file: _HubFile) -> Path | None:
    if not file.filename:
        return _cached_folder(file)
    found = huggingface_hub.try_to_load_from_cache(file.repo_id, file.filename, repo_type=file.repo_type)
    return Path(found) if isinstance(found, str) else None


def _cached_folder(file: _HubFile) -> Path | None:
    try:
        return Path(huggingface_hub.snapshot_download(file.repo_id, repo_type=file.repo_type, local_files_only=True))
    except (EntryNotFoundError, FileNotFoundError):
        return None


def _downloaded(file: _HubFile, encoder: str) -> Path:
    try:
        if not file.filename:
            return Path(huggingface_hub.snapshot_download(file.repo_id, repo_type=file.repo_type))
        return Path(huggingface_hub.hf_hub_download(file.repo_id, file.filename, repo_type=file.repo_type))
    except GatedRepoError:
        raise WeightsUnavailable(_gated(file, encoder)) from None
    except RepositoryNotFoundError:
        raise WeightsUnavailable(
            f"{encoder}: {file.page} does not exist or is private; `hf auth login`, {_OR_LOCAL}"
        ) from None
    except EntryNotFoundError:
        raise WeightsUnavailable(
            f"{encoder}: {file.page} has no file {file.filename}; correct source=, {_OR_LOCAL}"
        ) from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise WeightsUnavailable(_gated(file, encoder)) from None
        raise WeightsUnavailable(f"{encoder}: {file.page} answered {status}; try again later, {_OR_LOCAL}") from None
    except OSError as error:
        raise WeightsUnavailable(
            f"{encoder}: download from {file.page} failed ({error}); try again, {_OR_LOCAL}"
        ) from None


def _gated(file: _HubFile, encoder: str) -> str:
    return f"{encoder}: weights are gated; accept the licence at {file.page} and run `hf auth login`, {_OR_LOCAL}"


def _from_url(url: str, encoder: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if path.is_file():
        return path
    _require_answer(url, url, encoder)
    try:
        with written_whole(path) as temporary:
            torch.hub.download_url_to_file(url, str(temporary), progress=False)
    except OSError as error:
        raise WeightsUnavailable(f"{encoder}: download of {url} failed ({error}); try again, {_OR_LOCAL}") from None
    return path


def _require_answer(url: str, page: str, encoder: str) -> None:
    if not _within(_PROBE_SECONDS, lambda: _answers(url)):
        raise WeightsUnavailable(f"{encoder}: {page} is not cached and cannot be reached; go online, {_OR_LOCAL}")


def _answers(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _within(seconds: float, question: Callable[[], bool]) -> bool:
    """The answer, or False when it takes longer; in a thread, as resolving a name has no time limit of its own."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(question()), daemon=True)
    thread.start()
    thread.join(seconds)
    return answers == [True]
