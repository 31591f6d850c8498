"""Which patcher serves which images."""

from __future__ import annotations

from dataclasses import dataclass

from src.data.patching.centred_grid import CentredGrid
from src.data.patching.patches import GridPatcher, Patcher
from src.interfaces import CohortKind


@dataclass(frozen=True)
class Patching:
    """A patcher for whole slides and one for plain regions.

    Attributes:
        slides: for cohorts of whole slides.
        regions: for cohorts of plain images.
    """

    slides: GridPatcher
    regions: Patcher

    def of(self, kind: CohortKind) -> Patcher:
        """The patcher for a cohort of `kind`."""
        return self.slides if kind == "slides" else self.regions

    def for_query(self, kind: CohortKind, is_pyramid: bool) -> Patcher:
        """The patcher for a query, so that its patches are like those of a database of `kind`.

        A plain image that is asked of a database of slides is cut into patches of the slides' size and resolution; all
        of it counts as tissue.
        """
        if kind == "slides" and not is_pyramid:
            return CentredGrid(self.slides.patch_size_px, self.slides.mpp, self.slides.official_level0)
        return self.of(kind)
