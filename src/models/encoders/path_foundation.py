"""Path Foundation, a TensorFlow model: it runs where tensorflow is installed.

Source: Lai et al., 2023; model card google/path-foundation on huggingface.co: serving signature, pixels in [0, 1],
384 values.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.data.files import sha256_of
from src.errors import WeightsUnavailable


@dataclass(frozen=True)
class PathFoundation:
    """A SavedModel folder, called through its serving signature."""

    def load(self, path: Path) -> nn.Module:
        """The model of a folder."""
        try:
            tensorflow: Any = importlib.import_module("tensorflow")
        except ImportError:
            raise WeightsUnavailable("path_foundation: tensorflow is missing; pip install tensorflow") from None
        if not (path / "saved_model.pb").is_file():
            raise WeightsUnavailable(
                f"{path}: no saved_model.pb in it; encoder.checkpoint= needs the folder of the model"
            )
        return _SavedModel(tensorflow, path)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """The model's embedding."""
        embedding: Tensor = module(images)
        return embedding

    def fingerprint(self) -> dict[str, Any]:
        """The output that is read."""
        return {"architecture": "path-foundation", "features": "output_0"}


class _SavedModel(nn.Module):
    def __init__(self, tensorflow: Any, folder: Path) -> None:
        super().__init__()
        self._tensorflow = tensorflow
        self._infer = tensorflow.saved_model.load(str(folder)).signatures["serving_default"]
        files = [*sorted(folder.glob("variables/*")), folder / "saved_model.pb"]
        digests = bytes.fromhex("".join(sha256_of(file) for file in files))
        self.register_buffer(
            "digest", torch.frombuffer(bytearray(digests), dtype=torch.uint8)
        )  # stands for the weights

    def forward(self, images: Tensor) -> Tensor:
        pixels = self._tensorflow.constant(images.permute(0, 2, 3, 1).cpu().numpy())
        return torch.from_numpy(self._infer(pixels)["output_0"].numpy())
