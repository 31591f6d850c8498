"""A centred grid over a plain region: the query patches of HERE.

Source: HERE (bioRxiv 10.1101/2025.10.25.684566; data2intelligence/HERE_website, `get_image_patches`), which reads its
queries at the resolution they come in; here they are brought to one resolution, unless `official_level0` is set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from src.data.patching.patches import Patches
from src.interfaces import Slide


@dataclass(frozen=True)
class CentredGrid:
    """Non-overlapping patches centred on the image, x-major; what is left at the borders is discarded.

    An axis shorter than one patch gets one centred patch that sticks out on both sides.

    Attributes:
        patch_size_px: side of a patch, pixels at `mpp`.
        mpp: microns per pixel of a patch; 0.5 is 20x.
        official_level0: patches are `patch_size_px` pixels of the image as it comes, and `mpp` plays no part.
    """

    patch_size_px: int = 256
    mpp: float = 0.5
    official_level0: bool = False

    def patches(self, slide: Slide) -> Patches:
        """The patches of an image; at least one."""
        mpp = slide.mpp if self.official_level0 else self.mpp
        step = self.patch_size_px * mpp / slide.mpp
        x, y = _centred(slide.width_px, step), _centred(slide.height_px, step)
        coords = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
        return Patches(coords, (round(step),) * 2, (self.patch_size_px,) * 2, mpp)

    def fingerprint(self) -> dict[str, Any]:
        """All parameters."""
        return {"patcher": type(self).__name__, **asdict(self)}


def _centred(length: int, step: float) -> Int64[np.ndarray, " start"]:
    # Half a pixel of slack: 512 px hold two patches of 256.2 px.
    n = max(1, int((length + 0.5) / step))
    start = int((length - n * step) / 2)
    starts: np.ndarray = np.rint(start + np.arange(n) * step).astype(np.int64)
    return starts
