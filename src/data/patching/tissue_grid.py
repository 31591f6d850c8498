"""Non-overlapping patches of the tissue, at one resolution for all slides.

Source: CLAM (mahmoodlab/CLAM, commit 53e2409), `WholeSlideImage.process_contour`, with the contour rule `four_pt` and
`use_padding`. CLAM steps in pixels of a pyramid level; here the step is in microns, unless `official_level0` takes
pixels of level 0 whatever the magnification, as HERE's call of CLAM does (`--patch_size 256`, patch_level 0).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64
from shapely import Polygon

from src.data.patching.patches import Patches
from src.data.tissue import Segmenter, Tissue
from src.errors import ConfigError, SlideError, UnreadableSlide
from src.interfaces import Slide

Coords = Int64[np.ndarray, "patch 2"]
_NO_COORDS = np.empty((0, 2), np.int64)


@dataclass(frozen=True)
class TissueGrid:
    """A grid over the slide, of which the patches on tissue are kept; x-major order.

    Attributes:
        patch_size_px: side of a patch, pixels at `mpp`.
        mpp: microns per pixel of a patch; 0.5 is 20x.
        max_upsampling: a slide may be this much coarser than `mpp`; its patches are then enlarged.
        grid_origin: `slide` is one grid from the slide's corner, so that no two patches overlap; `contour` is CLAM's:
            each piece of tissue has a grid of its own from the corner of its bounding box, and gives no patch when it
            would give only one.
        use_padding: patches may stick out of the slide on the right and below.
        official_level0: patches are `patch_size_px` pixels of level 0 and `mpp` plays no part. With the segmenter of
            `tissue=clam` and `grid_origin=contour` these are the patches of HERE's code.
        min_coverage: share of a patch that has to be tissue, 0 to 1, counted in the mask as Yottixel does; None keeps
            patches by CLAM's rule, see `is_on_tissue`. Only on the slide's one grid.

    Raises:
        ConfigError: `min_coverage` beyond 0 to 1, or with grids per contour.
    """

    segmenter: Segmenter
    patch_size_px: int = 256
    mpp: float = 0.5
    max_upsampling: float = 2.0
    grid_origin: Literal["slide", "contour"] = "slide"
    use_padding: bool = True
    official_level0: bool = False
    min_coverage: float | None = None

    def __post_init__(self) -> None:
        if self.min_coverage is not None and (self.grid_origin != "slide" or not 0 < self.min_coverage <= 1):
            raise ConfigError(
                f"patching min_coverage is {self.min_coverage:g} with grid_origin={self.grid_origin}, expected above 0 "
                "to 1 with grid_origin=slide"
            )

    def patches(self, slide: Slide) -> Patches:
        """The patches of a slide; none when it has no tissue.

        Raises:
            SlideError: the slide is too coarse for `mpp`.
            UnreadableSlide: it is smaller than one patch, or its overview cannot be decoded.
        """
        mpp = slide.mpp if self.official_level0 else self.mpp
        step = self._step(slide, mpp)
        tissue = self.segmenter.segment(slide)
        size = round(step)
        coords = self._chosen(tissue, step)
        if not self.use_padding:
            coords = coords[(coords + size <= (slide.width_px, slide.height_px)).all(axis=1)]
        return Patches(coords, (size, size), (self.patch_size_px,) * 2, mpp, tissue)

    def fingerprint(self) -> dict[str, Any]:
        """All parameters that are set, the segmenter's included."""
        parameters = {name: value for name, value in asdict(self).items() if value is not None}
        return {"patcher": type(self).__name__, **parameters}

    def _chosen(self, tissue: Tissue, step: float) -> Coords:
        if self.min_coverage is not None:
            coords = _grid((0, 0), tissue.slide_wh, step)
            return np.asarray(coords[coverage(coords, step, tissue) >= self.min_coverage])
        choose = _one_grid if self.grid_origin == "slide" else _grid_per_contour
        return choose(tissue.contours, tissue.slide_wh, step)

    def _step(self, slide: Slide, mpp: float) -> float:
        """Exact side of a patch, level-0 pixels."""
        if slide.mpp > mpp * self.max_upsampling:
            raise SlideError(
                f"{slide.slide_id}: {slide.mpp:g} um per pixel is over {self.max_upsampling:g} times coarser than the "
                f"patches' {mpp:g}; raise mpp or max_upsampling of the patching"
            )
        step = self.patch_size_px * mpp / slide.mpp
        if min(slide.width_px, slide.height_px) < round(step):
            raise UnreadableSlide(
                f"{slide.slide_id}: {slide.width_px} x {slide.height_px} px is smaller than one patch of "
                f"{round(step)} px; use patching of regions, or smaller patches"
            )
        return step


def is_on_tissue(coords: Coords, size: int, contour: Polygon) -> Bool[np.ndarray, " patch"]:
    """CLAM's `four_pt` rule for patches of `size` level-0 pixels and one contour with its holes.

    A patch is kept when any of four points halfway between its centre and its corners lies in or on the outline, and
    its centre does not lie inside a hole.
    """
    outline, holes = Polygon(contour.exterior), [Polygon(ring) for ring in contour.interiors]
    shapely.prepare([outline, *holes])
    reach = int(size // 2 * 0.5)
    centre = coords + size // 2
    touches = [
        shapely.intersects_xy(outline, *(centre + offset).T)
        for offset in ((-reach, -reach), (-reach, reach), (reach, -reach), (reach, reach))
    ]
    in_hole = [shapely.contains_xy(hole, *(coords + size / 2).T) for hole in holes]
    return np.asarray(np.any(touches, axis=0) & ~np.any([np.zeros(len(coords), bool), *in_hole], axis=0))


def coverage(coords: Coords, step: float, tissue: Tissue) -> Float64[np.ndarray, " patch"]:
    """Share of each patch of the slide's grid that is tissue in the mask: Yottixel's rule.

    The patch in row i begins in row int(i * h) of the mask and is int(h) high, where h is `step` in pixels of the mask.
    Differs from KimiaLabMayo/yottixel (commit 7ef1239): at least one pixel is looked at. There, slides so large that a
    patch falls below one have no patches at all.
    """
    places, steps = np.rint(coords / step), np.array(tissue.mask.shape[::-1]) / tissue.slide_wh * step
    lefts, tops = (places * steps).astype(np.int64).T
    width, height = np.maximum(steps.astype(np.int64), 1).tolist()
    windows = [tissue.mask[top : top + height, left : left + width] for left, top in zip(lefts, tops, strict=True)]
    return np.array([window.mean() if window.size else 0.0 for window in windows], dtype=np.float64)


def _one_grid(contours: tuple[Polygon, ...], slide_wh: tuple[int, int], step: float) -> Coords:
    coords = _grid((0, 0), slide_wh, step)
    is_kept = np.zeros(len(coords), bool)
    for contour in contours:
        is_near = _overlaps(coords, round(step), contour) & ~is_kept
        is_kept[is_near] = is_on_tissue(coords[is_near], round(step), contour)
    return coords[is_kept]


def _grid_per_contour(contours: tuple[Polygon, ...], slide_wh: tuple[int, int], step: float) -> Coords:
    found = [_of_contour(contour, step) for contour in contours]
    coords = np.concatenate([_NO_COORDS, *(c for c in found if len(c) > 1)])
    # Differs from CLAM: a patch that two contours share is listed once, because a patch is known by its place.
    _, first = np.unique(coords, axis=0, return_index=True)
    return np.asarray(coords[np.sort(first)])


def _of_contour(contour: Polygon, step: float) -> Coords:
    left, top, right, bottom = (int(bound) for bound in contour.bounds)
    # The outline's own pixels count: a box from 3 to 5 is 3 px wide.
    coords = _grid((left, top), (right - left + 1, bottom - top + 1), step)
    return np.asarray(coords[is_on_tissue(coords, round(step), contour)])


def _grid(corner: tuple[int, int], extent: tuple[int, int], step: float) -> Coords:
    """Corners of patches that cover `extent`, x-major; each is rounded on its own, so that rounding does not add up."""
    x, y = (start + _starts(length, step) for start, length in zip(corner, extent, strict=True))
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)


def _starts(length: int, step: float) -> Int64[np.ndarray, " start"]:
    starts: np.ndarray = np.rint(np.arange(np.ceil(length / step)) * step).astype(np.int64)
    return starts[starts < length]


def _overlaps(coords: Coords, size: int, contour: Polygon) -> Bool[np.ndarray, " patch"]:
    left, top, right, bottom = contour.bounds
    return np.asarray(((coords + size >= (left, top)) & (coords <= (right, bottom))).all(axis=1))
