"""PathSearch with its weights, read from a checkpoint of train.py or of the official code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from src.data.files import written_whole
from src.errors import ConfigError, WeightsUnavailable
from src.models.pathsearch.bert_reports import BertReports
from src.models.pathsearch.network import PathSearchNetwork
from src.models.pathsearch.report_tower import Reports
from src.models.pathsearch.slide_encoder import SlideEncoder
from src.models.pathsearch.word_reports import WordReports
from src.models.weights import digest_of, load_strictly, read_state, read_torch, renamed

SETTINGS = "hyper_parameters"
_KNOWN: Mapping[str, Any] = {"biomedclip": BertReports, "words": WordReports}
_OURS = {"^network\\.": ""}  # of a checkpoint of train.py
_OFFICIAL = {"^text_model\\.text\\.": "text."}  # the vision tower of BiomedCLIP is never used
_UNUSED = ("^text_model\\.(?!text\\.)", "position_ids$")


@dataclass(frozen=True)
class TrainedPathSearch:
    """The network in eval mode.

    Attributes:
        reports: how its tower was built; None without one.
    """

    network: PathSearchNetwork
    reports: Reports | None

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    @property
    def visual(self) -> SlideEncoder:
        """The slide encoder."""
        return self.network.visual

    def digest(self) -> str:
        """Names the weights."""
        return digest_of(self.network)

    @torch.inference_mode()
    def text_vectors(self, texts: Sequence[str]) -> Float32[np.ndarray, "text dim"]:
        """Unit vectors of texts.

        Raises:
            ConfigError: weights of slides only.
        """
        if self.reports is None:
            raise ConfigError("these weights of PathSearch have no text tower; give code.checkpoint= one with it")
        return self.network.reports(texts).numpy()

    def write(self, path: Path) -> None:
        """Write a file that `read_pathsearch` reads, without what only training needs."""
        reports = None if self.reports is None else dict(self.reports.settings())
        with written_whole(path) as temporary:
            torch.save({"state_dict": self.network.state_dict(), SETTINGS: {"reports": reports}}, temporary)


def read_pathsearch(path: Path) -> TrainedPathSearch:
    """The network of a file, as large as its weights say.

    Args:
        path: of train.py model=pathsearch, of `TrainedPathSearch.write`, or of the official code.

    Raises:
        WeightsUnavailable: no such file, damaged, or of something else.
    """
    state = renamed(read_state(path), _OURS | _OFFICIAL, _UNUSED)
    reports = _reports(read_torch(path), state, path) if path.suffix != ".safetensors" else None
    if reports is None:
        state = {name: value for name, value in state.items() if not name.startswith("text")}
    visual = _slide_encoder(state, path)
    network = PathSearchNetwork(
        visual, None if reports is None else reports.build(), 0 if reports is None else reports.dim
    )
    load_strictly(network, state, path)
    return TrainedPathSearch(network, reports)


def reports_of(settings: Mapping[str, Any]) -> Reports:
    """What `Reports.settings` described."""
    reports: Reports = _KNOWN[settings["name"]](**settings)
    return reports


def _reports(raw: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> Reports | None:
    if SETTINGS not in raw:
        return BertReports() if "text_projection.weight" in state and "text.proj.0.weight" in state else None
    try:
        settings = raw[SETTINGS]["reports"]
        return None if settings is None else reports_of(settings)
    except (KeyError, TypeError, ConfigError):
        raise WeightsUnavailable(f"{path}: a checkpoint of something else, expected one of model=pathsearch") from None


def _slide_encoder(state: Mapping[str, Tensor], path: Path) -> SlideEncoder:
    layer = state.get("visual.proj.0.weight")
    n_mosaics = len({name.split(".")[3] for name in state if name.startswith("visual.abmil.attention.")})
    if layer is None or layer.ndim != 2 or not n_mosaics:
        raise WeightsUnavailable(
            f"{path}: no slide encoder of PathSearch in it (visual.proj.0.weight, visual.abmil...)"
        )
    return SlideEncoder(layer.shape[1], layer.shape[0], n_mosaics)
