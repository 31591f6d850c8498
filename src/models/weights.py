"""Checkpoints are read without running code from them, and fit a network completely or are refused."""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from src.errors import WeightsUnavailable

_WRAPPERS = ("state_dict", "model", "teacher", "MODEL_STATE")
_HEAD = re.compile(r"(classifier|head|fc)\.")
_COUNTER = "num_batches_tracked"  # counts training steps; the output does not depend on it, and old files lack it
_SHOWN = 3


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors file, or of a torch file (tensors only), without its wrappers.

    Raises:
        WeightsUnavailable: missing, truncated, not a checkpoint, or holding objects other than tensors.
    """
    if not path.is_file():
        raise WeightsUnavailable(f"{path}: no such file; encoder.checkpoint= needs a .safetensors or torch checkpoint")
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    state = _unwrapped(raw)
    strange = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if strange or not state:
        raise WeightsUnavailable(
            f"{path}: no state dict in it (found {_some(strange) or 'nothing'}); give a file of weights"
        )
    return state


def read_torch(path: Path) -> dict[Any, Any]:
    """What a torch file holds, plain values and tensors only.

    Raises:
        WeightsUnavailable: missing, damaged, or holding any other object.
    """
    try:
        # The checkpoints of DINO (HIPT) carry their command line as an argparse.Namespace, which only holds values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            raw = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsUnavailable(
            f"{path}: refused, as it holds more than tensors or is damaged; convert it to .safetensors"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise WeightsUnavailable(f"{path}: damaged or not a torch checkpoint ({_line(error)}); get it again") from None
    return dict(raw) if isinstance(raw, Mapping) else {type(raw).__name__: raw}


def renamed(state: Mapping[str, Tensor], rename: Mapping[str, str], ignore: Iterable[str]) -> dict[str, Tensor]:
    """The state with `ignore`d keys left out and every `rename` pattern (regular expressions) replaced, in order."""
    patterns = list(ignore)
    kept = {key: value for key, value in state.items() if not any(re.search(pattern, key) for pattern in patterns)}
    for pattern, replacement in rename.items():
        kept = {re.sub(pattern, replacement, key): value for key, value in kept.items()}
    return kept


def load_checkpoint(module: nn.Module, path: Path, rename: Mapping[str, str], ignore: Iterable[str]) -> nn.Module:
    """`module` with the weights of a file, its keys renamed; see `renamed` and `load_strictly`."""
    return load_strictly(module, renamed(read_state(path), rename, ignore), path)


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """`module` with exactly these weights; only a classifier that the module does not have is left out.

    Raises:
        WeightsUnavailable: keys missing, unexpected or of another shape; names how many and the first few.
    """
    wanted = module.state_dict()
    given = {key: value for key, value in state.items() if key in wanted or not _HEAD.match(key)}
    refuse_misfits(
        path,
        missing=[key for key in wanted if key not in given and not key.endswith(_COUNTER)],
        unexpected=[key for key in given if key not in wanted],
        reshaped=[key for key in given if key in wanted and given[key].shape != wanted[key].shape],
    )
    module.load_state_dict(given, strict=False)
    return module


def refuse_misfits(
    path: Path,
    missing: Iterable[str],
    unexpected: Iterable[str],
    reshaped: Iterable[str],
    owner: str = "encoder",
    advice: str = "give its own checkpoint, or another encoder=",
) -> None:
    """Raise WeightsUnavailable, naming whose weights were expected and what to do, unless all three are empty."""
    misfits = {"missing": sorted(missing), "unexpected": sorted(unexpected), "of another shape": sorted(reshaped)}
    parts = [f"{len(keys)} keys {kind} ({_some(keys)})" for kind, keys in misfits.items() if keys]
    if parts:
        raise WeightsUnavailable(f"{path}: not weights of this {owner}: {', '.join(parts)}; {advice}")


def digest_of(module: nn.Module) -> str:
    """Twelve hexadecimal digits of a module's weights: names, dtypes, shapes and bytes, in the order of the names."""
    sha = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return sha.hexdigest()[:12]


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise WeightsUnavailable(f"{path}: damaged or not a safetensors file ({_line(error)}); get it again") from None


def _unwrapped(raw: dict[str, Any]) -> dict[str, Any]:
    for wrapper in _WRAPPERS:
        if isinstance(raw.get(wrapper), Mapping):
            return _unwrapped(dict(raw[wrapper]))
    if raw and all(key.startswith("module.") for key in raw):
        return {key.removeprefix("module."): value for key, value in raw.items()}
    return raw


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
