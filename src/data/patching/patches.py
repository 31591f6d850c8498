"""What a patcher gives: where the patches of a slide are, and how they are to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64

from src.data.tissue import Tissue
from src.interfaces import Slide


@dataclass(frozen=True)
class Patches:
    """The patches of one slide.

    Attributes:
        coords: top-left corner of each patch, level-0 pixels; negative where a patch sticks out of the slide.
        size_level0: width and height of a patch in whole level-0 pixels; the exact size is `size_px * mpp / slide.mpp`.
        size_px: width and height of a patch as `slide.read` returns it.
        mpp: microns per pixel of that patch.
        tissue: what the patches were chosen by, if they were.
    """

    coords: Int64[np.ndarray, "patch 2"]
    size_level0: tuple[int, int]
    size_px: tuple[int, int]
    mpp: float
    tissue: Tissue | None = None

    def __len__(self) -> int:
        return len(self.coords)


@runtime_checkable
class Patcher(Protocol):
    """Which patches of a slide are looked at."""

    def patches(self, slide: Slide) -> Patches:
        """The patches of a slide; none when it has no tissue."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """Everything that shapes the patches; JSON-serialisable."""
        ...


@runtime_checkable
class GridPatcher(Patcher, Protocol):
    """A patcher whose patches are squares, at one resolution unless `official_level0` takes each slide's own."""

    @property
    def patch_size_px(self) -> int:
        """Side of a patch, pixels at `mpp`."""
        ...

    @property
    def mpp(self) -> float:
        """Microns per pixel of a patch."""
        ...

    @property
    def official_level0(self) -> bool:
        """Patches are pixels of level 0, whatever they measure."""
        ...
