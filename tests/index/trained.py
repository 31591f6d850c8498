"""Random weights for codes that are trained, when an index is built or before."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from src.models.auto_checkpoint import AUTO
from src.models.hashing.network import HashEncoder
from src.models.pathsearch.network import PathSearchNetwork
from src.models.pathsearch.slide_encoder import SlideEncoder
from src.models.pathsearch.trained import TrainedPathSearch
from src.models.pathsearch.word_reports import WordReports

_FOLDER = TemporaryDirectory()


def with_weights(code: Mapping[str, Any], dim: int) -> dict[str, Any]:
    """A code's settings, with a file where they say `auto`, or where they cannot do without."""
    if code["_target_"].endswith(".PathSearch"):
        return {**code, "checkpoint": pathsearch(dim)}
    return {**code, "checkpoint": hash_encoder(dim)} if code.get("checkpoint") == AUTO else dict(code)


@cache
def hash_encoder(dim: int) -> str:
    """A checkpoint of a hash encoder of 64 bits."""
    path = Path(_FOLDER.name) / f"hash-encoder-{dim}.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(HashEncoder(dim, 64).state_dict(), path)
    return str(path)


@cache
def pathsearch(dim: int) -> str:
    """A checkpoint of a PathSearch of 4 mosaic vectors of 64 numbers each, which reads words."""
    path = Path(_FOLDER.name) / f"pathsearch-{dim}.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        words = WordReports(dim=8, n_rows=64)
        TrainedPathSearch(PathSearchNetwork(SlideEncoder(dim, 64, 4), words.build(), words.dim), words).write(path)
    return str(path)
