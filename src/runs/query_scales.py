"""Which scales of a query are searched, and which of them answers.

Source: HERE's adaptive search (bioRxiv 2025.10.25.684566, web portal): a query is searched again by half its
resolution until the smaller side is below 256 px, one patch. Differs from HERE: `auto` searches all scales and chooses,
where the portal leaves both to its user; and it counts in patches of the database, which need not be 256 px wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.data.halving import most_halvings
from src.data.patching import GridPatcher, Patcher, Patches
from src.errors import ConfigError
from src.index.significance import Significance
from src.interfaces import Ranking, SlideFeatures
from src.runs.query_images import QueryImage

AUTO = "auto"
_PATCH_PX = 256


@dataclass(frozen=True)
class Scale:
    """A query searched at one scale.

    Attributes:
        halvings: how often both sides of its images were halved.
        images: as they were cut into patches; none where the query is text.
        patches: those of each image.
        query: the patches of all images, image by image; named by the text, where it is one.
        significance: of the hits; None where the index has no background.
        timing: step to time, ms.
    """

    halvings: int
    images: tuple[QueryImage, ...]
    patches: tuple[Patches, ...]
    query: SlideFeatures
    ranking: Ranking
    significance: Significance | None
    timing: dict[str, float]

    @property
    def first_z(self) -> float:
        """Of the first hit; infinite where there is none."""
        return float(self.significance.z[0]) if self.significance and len(self.ranking) else np.inf


def check_halvings(asked: object, images: Sequence[QueryImage]) -> None:
    """Refuse what no index could answer.

    Raises:
        ConfigError: no such number, more than the smallest image can be halved, or a whole slide.
    """
    if asked != AUTO and (not isinstance(asked, int) or isinstance(asked, bool) or asked < 0):
        raise ConfigError(f"query.halvings is {asked}, expected a whole number from 0, or auto")
    smallest = min(images, key=lambda image: image.smaller_side_px)
    most = most_halvings(smallest.smaller_side_px)
    if isinstance(asked, int) and asked > most:
        size = f"{smallest.slide.width_px} x {smallest.slide.height_px}"
        raise ConfigError(f"query.halvings={asked} leaves nothing of {smallest.path}, {size} px; at most {most} fits")
    if asked != 0:
        _refuse_whole_slides(images)


def halvings_to_try(asked: int | str, images: Sequence[QueryImage], patchers: Sequence[Patcher]) -> range:
    """The number that was asked for, or with `auto` every one that leaves each image as large as one patch.

    Args:
        asked: as `check_halvings` passed it.
        images: at full size.
        patchers: what cuts each image.
    """
    if isinstance(asked, int):
        return range(asked, asked + 1)
    most = [
        most_halvings(image.smaller_side_px, _patch_px(image, patcher))
        for image, patcher in zip(images, patchers, strict=True)
    ]
    return range(min(most) + 1)


def most_significant(scales: Sequence[Scale]) -> Scale:
    """The scale whose first hit has the lowest z; of equal ones that with fewer halvings.

    Raises:
        ConfigError: the index has no background.
    """
    if any(scale.significance is None for scale in scales):
        raise ConfigError(
            "query.halvings=auto compares scales by z, which needs an index with a background; build it again with "
            "build_index.py, or give a number of halvings"
        )
    return min(scales, key=lambda scale: (scale.first_z, scale.halvings))


def _refuse_whole_slides(images: Sequence[QueryImage]) -> None:
    for image in images:
        if image.slide.is_pyramid:
            raise ConfigError(
                f"query.halvings: {image.path} is a whole slide, only images are halved; "
                "cut one out with query.region=[x,y,width,height]"
            )


def _patch_px(image: QueryImage, patcher: Patcher) -> int:
    """Side of a patch, pixels of the image."""
    if not isinstance(patcher, GridPatcher):
        return _PATCH_PX
    scale = 1.0 if patcher.official_level0 else patcher.mpp / image.slide.mpp
    return max(1, round(patcher.patch_size_px * scale))
