"""The three looks at a patch that CCL compares: cropped, coloured and blurred at random.

Source: the augmentations of MoCo v2 (Chen et al., "Improved baselines with momentum contrastive learning", 2020), which
CLD trains with; RetCCL's own are not in its repository.
Differs from them: patches are also turned, as tissue has no upside; the steps of the colour jitter come in one order.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from src.errors import ConfigError
from src.interfaces import Image

_LOG_ASPECT = float(np.log(4 / 3))


@dataclass(frozen=True)
class RandomLooks:
    """Several random looks at one patch, each a square of `size_px`.

    Attributes:
        size_px: side after cropping and resizing.
        n_views: looks at one patch; CCL takes three.
        min_area: of the patch that a crop shows at least.
        colour: how far brightness, contrast and saturation may go from 1.
        hue: how far the hue may turn, of 1.
        p_colour: how often colours are changed.
        p_grey: how often they are taken away.
        p_blur: how often the look is blurred, by a standard deviation of 0.1 to 2 px.
    """

    size_px: int
    n_views: int
    min_area: float
    colour: float
    hue: float
    p_colour: float
    p_grey: float
    p_blur: float

    def __post_init__(self) -> None:
        if self.size_px < 1 or self.n_views < 1 or not 0 < self.min_area <= 1:
            raise ConfigError(
                f"patches.view: size_px is {self.size_px}, n_views {self.n_views}, min_area {self.min_area}; "
                "expected at least 1, at least 1 and 0 to 1"
            )

    def __call__(self, image: Image, rng: np.random.Generator) -> Float32[Tensor, "view 3 height width"]:
        """The looks, 0 to 1."""
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)) / 255
        return torch.stack([self._look(pixels, rng) for _ in range(self.n_views)])

    def fingerprint(self) -> dict[str, Any]:
        """Name and all settings."""
        return {"name": "random_looks", **asdict(self)}

    def _look(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        cropped = _turned(_cropped(pixels, self.min_area, self.size_px, rng), rng)
        coloured = _coloured(cropped, self.colour, self.hue, rng) if rng.random() < self.p_colour else cropped
        return _dulled(coloured, rng.random() < self.p_grey, rng.random() < self.p_blur, rng)


def _cropped(pixels: Tensor, min_area: float, size_px: int, rng: np.random.Generator) -> Tensor:
    from torchvision.transforms import functional as F  # noqa: N812 - here, as it takes a second to import

    height, width = pixels.shape[1:]
    area = height * width * rng.uniform(min_area, 1)
    aspect = np.exp(rng.uniform(-_LOG_ASPECT, _LOG_ASPECT))
    h, w = min(height, round(np.sqrt(area / aspect))), min(width, round(np.sqrt(area * aspect)))
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    cropped: Tensor = F.resized_crop(pixels, top, left, max(1, h), max(1, w), [size_px, size_px], antialias=True)
    return cropped


def _turned(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    turned = torch.rot90(pixels, int(rng.integers(4)), (1, 2))
    return turned.flip(2) if rng.integers(2) else turned


def _coloured(pixels: Tensor, colour: float, hue: float, rng: np.random.Generator) -> Tensor:
    from torchvision.transforms import functional as F  # noqa: N812

    for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
        pixels = adjust(pixels, rng.uniform(max(0, 1 - colour), 1 + colour))
    changed: Tensor = F.adjust_hue(pixels, rng.uniform(-hue, hue))
    return changed


def _dulled(pixels: Tensor, is_grey: bool, is_blurred: bool, rng: np.random.Generator) -> Tensor:
    from torchvision.transforms import functional as F  # noqa: N812

    if is_grey:
        pixels = F.rgb_to_grayscale(pixels, num_output_channels=3)
    return F.gaussian_blur(pixels, [9, 9], rng.uniform(0.1, 2.0)) if is_blurred else pixels
