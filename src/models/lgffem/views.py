"""What LGFFEM sees of a patch in training.

Source: see `aggregators`; train_kimia.py and train_pannuke.py (resize, flips, quarter turns, two blurs), train_in1k.py
(random crop, mirrored). The blurs follow the defaults of albumentations 1.x, which the code draws them with: Gaussian
over 3, 5 or 7 px with the standard deviation that belongs to the width, median over 3 or 5 px.
Differs from the code: torchvision.transforms.v2 and OpenCV draw them, as albumentations is no longer kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from src.errors import ConfigError
from src.interfaces import Image

_GAUSSIAN_PX = (3, 5, 7)
_MEDIAN_PX = (3, 5)
_LOG_ASPECT = float(np.log(4 / 3))


@dataclass(frozen=True)
class PublishedLook:
    """One look at a patch, a square of `size_px`.

    Attributes:
        size_px: side after resizing; a multiple of 32.
        min_area: share of the patch that a random crop shows at least; None resizes the whole patch.
        p_upside_down: how often it is turned upside down.
        p_mirrored: how often it is mirrored.
        p_turned: how often it is turned by none to three quarters.
        p_gaussian: how often it is blurred.
        p_median: how often its specks are taken away.
    """

    size_px: int
    min_area: float | None
    p_upside_down: float
    p_mirrored: float
    p_turned: float
    p_gaussian: float
    p_median: float

    def __post_init__(self) -> None:
        if self.size_px < 32 or self.size_px % 32 or not 0 < (self.min_area or 1) <= 1:
            raise ConfigError(
                f"patches.view: size_px is {self.size_px}, min_area {self.min_area}; expected a multiple of 32, and 0 "
                "to 1 or null"
            )

    def __call__(self, image: Image, rng: np.random.Generator) -> Float32[Tensor, "1 3 height width"]:
        """The look, 0 to 1."""
        from torchvision.transforms.v2 import functional as F  # noqa: N812 - here, as it takes a second to import

        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        pixels = _fitted(pixels, self.size_px, self.min_area, rng)
        pixels = F.vertical_flip(pixels) if rng.random() < self.p_upside_down else pixels
        pixels = F.horizontal_flip(pixels) if rng.random() < self.p_mirrored else pixels
        pixels = torch.rot90(pixels, int(rng.integers(4)), (1, 2)) if rng.random() < self.p_turned else pixels
        pixels = F.gaussian_blur(pixels, *_gaussian(rng)) if rng.random() < self.p_gaussian else pixels
        pixels = _without_specks(pixels, int(rng.choice(_MEDIAN_PX))) if rng.random() < self.p_median else pixels
        return pixels[None].float() / 255

    def fingerprint(self) -> dict[str, Any]:
        """Name and all settings."""
        return {"name": "published_look", **asdict(self)}


def _fitted(
    pixels: UInt8[Tensor, "3 rows columns"], side_px: int, min_area: float | None, rng: np.random.Generator
) -> UInt8[Tensor, "3 height width"]:
    from torchvision.transforms.v2 import functional as F  # noqa: N812

    size = [side_px, side_px]
    if min_area is None:
        return torch.as_tensor(F.resize(pixels, size, antialias=True))
    rows, columns = pixels.shape[1:]
    area, aspect = rows * columns * rng.uniform(min_area, 1), np.exp(rng.uniform(-_LOG_ASPECT, _LOG_ASPECT))
    height, width = min(rows, round(np.sqrt(area / aspect))), min(columns, round(np.sqrt(area * aspect)))
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    crop = F.resized_crop(pixels, top, left, max(1, height), max(1, width), size, antialias=True)
    return torch.as_tensor(crop)


def _gaussian(rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """A width and the standard deviation that OpenCV gives it."""
    side_px = int(rng.choice(_GAUSSIAN_PX))
    return [side_px, side_px], [0.3 * ((side_px - 1) * 0.5 - 1) + 0.8]


def _without_specks(pixels: UInt8[Tensor, "3 height width"], side_px: int) -> UInt8[Tensor, "3 height width"]:
    filtered = cv2.medianBlur(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()), side_px)
    return torch.from_numpy(filtered).permute(2, 0, 1)
