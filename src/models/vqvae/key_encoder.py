"""Patches to the sums that their integer keys are made of, by a VQ-VAE.

Source: SISH, see `network` and `integer_key`; a patch is resized to 1024 px by Pillow's bicubic filter, as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from src.data.files import digest
from src.errors import ConfigError, WeightsUnavailable
from src.interfaces import Image
from src.models.auto_checkpoint import AUTO
from src.models.vqvae.codeword_order import codeword_order
from src.models.vqvae.integer_key import N_LEVELS, level_sums
from src.models.vqvae.network import DOWNSAMPLE, VqVaeEncoder
from src.models.vqvae.recipe import VqVaeRecipe
from src.models.weights import digest_of, load_strictly, read_state

_SIDE_STEP_PX = DOWNSAMPLE << N_LEVELS


class VqVaeKeys:
    """Three sums per patch; the network is as wide as its checkpoint.

    Args:
        name: how configs, feature files and errors call it.
        checkpoint: SISH's model_9.pt, or what `training` has made.
        codebook_semantic: see `codeword_order`.
        input_px: side that patches are resized to.
        float_pooling: see `integer_key`.
        batch_size: patches per forward pass; does not change the sums.
        device: `auto` is a GPU where there is one.
        training: what `checkpoint=auto` stands for.

    Raises:
        ConfigError: an `input_px` whose maps cannot be halved three times.
    """

    def __init__(
        self,
        name: str,
        checkpoint: str,
        codebook_semantic: str | None,
        input_px: int,
        float_pooling: bool,
        batch_size: int,
        device: str,
        training: VqVaeRecipe,
    ) -> None:
        if input_px < 1 or input_px % _SIDE_STEP_PX or batch_size < 1:
            raise ConfigError(
                f"key_encoder: input_px is {input_px}, expected a multiple of {_SIDE_STEP_PX} such as 1024; "
                f"batch_size is {batch_size}, expected at least 1"
            )
        self.name = name
        self.checkpoint = checkpoint
        self.codebook_semantic = codebook_semantic
        self.input_px = input_px
        self.float_pooling = float_pooling
        self.batch_size = batch_size
        self.training = training
        self._device_name = device

    def fingerprint(self) -> dict[str, Any]:
        """Everything that shapes the sums; JSON-serialisable."""
        return {
            "name": self.name,
            "weights": digest_of(self._network),
            "order": digest({"new": self._order.tolist()}),
            "input_px": self.input_px,
            "float_pooling": self.float_pooling,
        }

    def sums(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch 3"]:
        """The sums of each patch.

        Raises:
            WeightsUnavailable: no such file, damaged, or of something else.
        """
        chunks = [patches[start : start + self.batch_size] for start in range(0, len(patches), self.batch_size)]
        rows = [np.empty((0, N_LEVELS), np.float32), *(self._sums(chunk) for chunk in chunks)]
        return np.concatenate(rows)

    @cached_property
    def _network(self) -> VqVaeEncoder:
        if self.checkpoint == AUTO:
            raise WeightsUnavailable(
                f"key_encoder.checkpoint=auto: {self.name} is trained when a cohort is extracted; give a FILE here"
            )
        network = _read_network(Path(self.checkpoint)).eval().requires_grad_(False)
        return network.to(self._device)

    @cached_property
    def _order(self) -> Int64[np.ndarray, " codeword"]:
        return codeword_order(self.codebook_semantic, self._network.codebook.embedding.weight.cpu().numpy())

    @property
    def _device(self) -> torch.device:
        if self._device_name != AUTO:
            return torch.device(self._device_name)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _sums(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch 3"]:
        pixels = torch.stack([_pixels(patch, self.input_px) for patch in patches]).to(self._device)
        codes: np.ndarray = self._network(pixels).cpu().numpy()
        return level_sums(self._order[codes], self.float_pooling)


def _read_network(path: Path) -> VqVaeEncoder:
    state = {name: value for name, value in read_state(path).items() if name.startswith(("encoder.", "codebook."))}
    words = state.get("codebook.embedding.weight")
    if words is None or words.ndim != 2:
        raise WeightsUnavailable(f"{path}: no codebook in it, expected a VQ-VAE such as SISH's model_9.pt")
    network = VqVaeEncoder(words.shape[1], words.shape[0])
    load_strictly(network, state, path)
    return network


def _pixels(patch: Image, side_px: int) -> Float32[Tensor, "3 height width"]:
    if patch.shape[:2] != (side_px, side_px):
        resized = PIL.Image.fromarray(patch).resize((side_px, side_px), PIL.Image.Resampling.BICUBIC)
        patch = np.asarray(resized)
    return torch.from_numpy(patch.transpose(2, 0, 1).astype(np.float32) / 255)
