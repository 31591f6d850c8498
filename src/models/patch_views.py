"""What networks that learn from pixels see of a patch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from src.errors import ConfigError
from src.interfaces import Image


@dataclass(frozen=True)
class RandomCrop:
    """One square at a random place, turned and mirrored at random, as tissue has no upside.

    Attributes:
        size_px: side; a patch that is smaller is enlarged.
    """

    size_px: int

    def __post_init__(self) -> None:
        if self.size_px < 1:
            raise ConfigError(f"view: size_px is {self.size_px}, expected at least 1")

    def __call__(self, image: Image, rng: np.random.Generator) -> Float32[Tensor, "1 3 height width"]:
        """The square, 0 to 1."""
        image = _at_least(image, self.size_px)
        y, x = (int(rng.integers(side - self.size_px + 1)) for side in image.shape[:2])
        crop = np.rot90(image[y : y + self.size_px, x : x + self.size_px], int(rng.integers(4)))
        crop = crop[:, ::-1] if rng.integers(2) else crop
        return torch.from_numpy(crop.transpose(2, 0, 1)[None].astype(np.float32) / 255)

    def fingerprint(self) -> dict[str, Any]:
        """Name and size."""
        return {"name": "random_crop", **asdict(self)}


def _at_least(image: Image, side_px: int) -> Image:
    scale = side_px / min(image.shape[:2])
    if scale <= 1:
        return image
    height, width = (max(side_px, round(side * scale)) for side in image.shape[:2])
    enlarged: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    return enlarged
