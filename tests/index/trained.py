"""Random weights for codes that are otherwise trained when an index is built."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from src.models.auto_checkpoint import AUTO
from src.models.hashing.network import HashEncoder

_FOLDER = TemporaryDirectory()


def with_weights(code: Mapping[str, Any], dim: int) -> dict[str, Any]:
    """A code's settings, with a file where they say `auto`."""
    return {**code, "checkpoint": hash_encoder(dim)} if code.get("checkpoint") == AUTO else dict(code)


@cache
def hash_encoder(dim: int) -> str:
    """A checkpoint of a hash encoder of 64 bits."""
    path = Path(_FOLDER.name) / f"hash-encoder-{dim}.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(HashEncoder(dim, 64).state_dict(), path)
    return str(path)
