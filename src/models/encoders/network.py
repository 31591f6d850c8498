"""A pretrained network as an encoder: weights are found, checked and loaded when they are first needed.

What differs between models is two parts: the `Network` (one file of this folder per way of loading) and the
`ImageTransform`. Everything else - lazy loading, batches, precision, checks, the fingerprint - is here, once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from src.errors import ConfigError, HistoseekError
from src.interfaces import Image
from src.models import hub
from src.models.encoders.text import no_text
from src.models.transforms import ImageTransform
from src.models.weights import digest_of

Access = Literal["open", "gated", "local"]
Precision = Literal["fp32", "fp16", "bf16"]
_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@runtime_checkable
class Network(Protocol):
    """One way of building a network, of loading its weights and of reading features from it."""

    def load(self, path: Path) -> nn.Module:
        """The network with the weights at `path`, every one of them."""
        ...

    def features(
        self, module: nn.Module, images: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image feature"]:
        """Features of normalised images."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Settings that shape the features, JSON-serialisable."""
        ...


@runtime_checkable
class TextNetwork(Network, Protocol):
    """A network that also puts text into the space of its image features."""

    def text_features(self, module: nn.Module, texts: Sequence[str]) -> Float[Tensor, "text feature"]:
        """Features of texts."""
        ...


class NetworkEncoder:
    """Patches to features by a pretrained network.

    Args:
        name: how configs, feature files and errors call it.
        dim: length of a feature.
        access: `open` (downloaded), `gated` (downloaded after its licence is accepted), `local` (checkpoint needed).
        source: where the weights lie, see `src.models.hub`.
        licence: of the weights.
        mpp: microns per pixel that the model was trained for.
        patch_size_px: recommended side of a patch at that mpp.
        network: how it is built, loaded and read.
        transform: patch to tensor.
        checkpoint: local file to load instead of `source`.
        device: `auto` is a GPU where there is one.
        precision: fp16 and bf16 run under autocast; features are float32 always.
        batch_size: patches per forward pass; does not change the features.
    """

    def __init__(
        self,
        name: str,
        dim: int,
        access: Access,
        source: str,
        licence: str,
        mpp: float,
        patch_size_px: int,
        network: Network,
        transform: ImageTransform,
        checkpoint: str | None = None,
        device: str = "auto",
        precision: Precision = "fp32",
        batch_size: int = 64,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"encoder.batch_size is {batch_size}; it must be at least 1")
        self.name = name
        self.dim = dim
        self.access = access
        self.source = source
        self.licence = licence
        self.mpp = mpp
        self.patch_size_px = patch_size_px
        self.network = network
        self.transform = transform
        self.checkpoint = checkpoint
        self.precision = precision
        self.batch_size = batch_size
        self._device_name = device

    @property
    def has_text(self) -> bool:
        """Whether `encode_text` works."""
        return isinstance(self.network, TextNetwork)

    def fingerprint(self) -> dict[str, Any]:
        """Name, weights, network, transform and precision; not the device or the batch size, which change nothing."""
        return {
            "name": self.name,
            "weights": self._digest,
            "network": self.network.fingerprint(),
            "transform": self.transform.fingerprint(),
            "precision": self.precision,
        }

    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        """One feature per patch, not normalised.

        Raises:
            WeightsUnavailable: the weights cannot be had, or do not fit.
            HistoseekError: a feature is not finite or has not `dim` values.
        """
        rows = [self._features(batch) for batch in _batches(map(self.transform, patches), self.batch_size)]
        features = np.concatenate(rows) if rows else np.empty((0, self.dim), np.float32)
        self._check(features)
        return features

    def encode_text(self, texts: Sequence[str]) -> Float32[np.ndarray, "text feature"]:
        """Features of texts, in the space of the patches' features; not normalised.

        Raises:
            ConfigError: the network has no side for text.
        """
        if not isinstance(self.network, TextNetwork):
            raise no_text(self.name)
        with torch.inference_mode(), self._autocast():
            features = self.network.text_features(self._module, texts)
        return _as_array(features)

    @cached_property
    def _module(self) -> nn.Module:
        path = Path(self.checkpoint) if self.checkpoint else hub.fetch(self.source, self.name)
        module = self.network.load(path).eval().requires_grad_(False)
        ready: nn.Module = module.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return ready

    @cached_property
    def _digest(self) -> str:
        return digest_of(self._module)

    @property
    def _device(self) -> torch.device:
        if self._device_name != "auto":
            return torch.device(self._device_name)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _features(self, images: Float32[Tensor, "image 3 height width"]) -> Float32[np.ndarray, "image feature"]:
        with torch.inference_mode(), self._autocast():
            on_device = images.to(self._device, memory_format=torch.channels_last)  # convolutions run faster so
            return _as_array(self.network.features(self._module, on_device))

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=_DTYPES[self.precision])

    def _check(self, features: Float32[np.ndarray, "patch feature"]) -> None:
        if features.shape[1] != self.dim:
            raise HistoseekError(
                f"encoder={self.name} gave {features.shape[1]} values per patch, its config says dim={self.dim}"
            )
        broken = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if len(broken):
            raise HistoseekError(
                f"encoder={self.name} gave NaN or infinity for {len(broken)} patches (first: {broken[0]}); "
                f"try encoder.precision=fp32"
            )


def _batches(images: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """Stacks of at most `size` images; one ends early where the next image has another shape."""
    while chunk := list(islice(images, size)):
        start = 0
        for stop in range(1, len(chunk) + 1):
            if stop == len(chunk) or chunk[stop].shape != chunk[start].shape:
                yield torch.stack(chunk[start:stop])
                start = stop


def _as_array(features: Tensor) -> Float32[np.ndarray, "row feature"]:
    array: np.ndarray = features.float().cpu().numpy()
    return array
