"""The whole image as one patch, as PLIP and the patch-level tables search."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from src.data.patching.patches import Patches
from src.errors import SlideError
from src.interfaces import Slide


@dataclass(frozen=True)
class WholeImage:
    """One patch: the image at its own resolution.

    Attributes:
        max_side_px: larger images are refused, as the encoder would get them shrunk beyond recognition.
    """

    max_side_px: int = 8192

    def patches(self, slide: Slide) -> Patches:
        """The image.

        Raises:
            SlideError: it is larger than `max_side_px`.
        """
        size = (slide.width_px, slide.height_px)
        if max(size) > self.max_side_px:
            raise SlideError(
                f"{slide.slide_id}: {size[0]} x {size[1]} px is too large for one patch, at most {self.max_side_px} px "
                "a side are expected; use a grid (patching=grid)"
            )
        return Patches(np.zeros((1, 2), np.int64), size, size, slide.mpp)

    def fingerprint(self) -> dict[str, Any]:
        """All parameters."""
        return {"patcher": type(self).__name__, **asdict(self)}
