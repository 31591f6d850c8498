"""An RGB patch becomes the normalised tensor that a network was trained on.

Pixels are resized by Pillow, as the published transforms do (torchvision on PIL images), so that a feature is the same
here and there. Their rule is resize-shortest-side, then centre crop, which cuts tissue off a patch that is not square.
Differs from them: `squash`, which most configs set, resizes such a patch to the square; on square patches both agree.
CLIP and what was tuned from it are given whole images of any shape, so their configs keep the published `crop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float32
from PIL import Image as PillowImage

from src.errors import ConfigError
from src.interfaces import Image

Aspect = Literal["squash", "crop"]
Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class ImageTransform:
    """Resize, centre crop, scale to [0, 1], normalise.

    Attributes:
        resize_px: side after resizing; [width, height] exactly; or None to keep the patch's own size.
        crop_px: side of the centre crop, or None for no crop.
        interpolation: how Pillow resamples.
        aspect: `squash` makes a patch that is not square exactly square; `crop` resizes its shortest side.
        mean: of each channel, in [0, 1].
        std: of each channel, in [0, 1].
    """

    resize_px: int | Sequence[int] | None
    crop_px: int | None
    interpolation: Interpolation
    aspect: Aspect
    mean: Sequence[float]
    std: Sequence[float]

    def __post_init__(self) -> None:
        if isinstance(self.resize_px, Sequence) and len(self.resize_px) != 2:
            raise ConfigError(
                f"transform.resize_px has {len(self.resize_px)} numbers; give one, [width, height] or null"
            )
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ConfigError("transform.mean and transform.std need three numbers each, one per channel")

    def __call__(self, patch: Image) -> Float32[torch.Tensor, "3 rows columns"]:
        """The patch as the network takes it, (channel, row, column)."""
        from torchvision.transforms import functional as F  # noqa: N812 - here, as weights are looked for first

        picture = self._resized(PillowImage.fromarray(patch))
        if self.crop_px is not None:
            picture = F.center_crop(picture, [self.crop_px])
        tensor: torch.Tensor = F.normalize(F.to_tensor(picture), list(self.mean), list(self.std))
        return tensor

    def fingerprint(self) -> dict[str, Any]:
        """Every setting, JSON-serialisable."""
        return asdict(self)

    def _resized(self, picture: PillowImage.Image) -> PillowImage.Image:
        if self.resize_px is None:
            return picture
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as F  # noqa: N812

        resized: PillowImage.Image = F.resize(picture, self._size(), InterpolationMode(self.interpolation))
        return resized

    def _size(self) -> list[int]:
        if not isinstance(self.resize_px, int):
            width, height = self.resize_px or ()
            return [height, width]
        return [self.resize_px] if self.aspect == "crop" else [self.resize_px, self.resize_px]
