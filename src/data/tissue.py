"""Where the tissue of a slide is: saturation, median blur, threshold, closing, contours with holes.

Source: Lu et al., "Data-efficient and weakly supervised computational pathology on whole-slide images", 2021; CLAM
(mahmoodlab/CLAM, commit 53e2409), `WholeSlideImage.segmentTissue` with the presets of `presets/tcga.csv`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Int32
from shapely import Polygon

from src.errors import ConfigError
from src.interfaces import Image, Slide

Ring = Int32[np.ndarray, "point 2"]


@dataclass(frozen=True)
class Tissue:
    """The tissue of one slide.

    Attributes:
        contours: one polygon with holes per piece of tissue, level-0 pixels. They are the traced outlines as they are,
            which may touch themselves.
        mask: what was above the threshold, at overview resolution, before small pieces were dropped.
        overview: the image that was segmented.
        slide_wh: width and height of the slide at level 0.
    """

    contours: tuple[Polygon, ...]
    mask: Bool[np.ndarray, "height width"]
    overview: Image
    slide_wh: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Level-0 pixels per pixel of the overview."""
        height, width = self.mask.shape
        return self.slide_wh[0] / width, self.slide_wh[1] / height

    @property
    def fraction(self) -> float:
        """Share of the slide's area that lies in the contours and outside their holes; 0 to 1."""
        return float(sum(contour.area for contour in self.contours)) / (self.slide_wh[0] * self.slide_wh[1])


@runtime_checkable
class Segmenter(Protocol):
    """Finds the tissue of a slide; a frozen dataclass of its parameters."""

    def segment(self, slide: Slide) -> Tissue:
        """The tissue; without any, `contours` is empty."""
        ...


@dataclass(frozen=True)
class TissueSegmenter:
    """Finds tissue by its colour saturation.

    Attributes:
        downsample: of the overview that is segmented; less for a slide whose longer side would fall under
            `min_overview_px`.
        median_px: odd side of the median blur.
        threshold: saturation, 0 to 255, above which a pixel is tissue.
        otsu: find the threshold by Otsu's method instead.
        close_px: side of the closing; 0 for none.
        reference_patch_px: side of the patch, level-0 pixels, that areas are counted in.
        min_tissue_patches: smaller pieces of tissue are dropped.
        min_hole_patches: smaller holes are filled.
        max_holes: only the largest holes of a piece are kept.
        max_min_fraction: upper bound of `min_tissue_patches`, as a share of the slide's area.
    """

    downsample: float = 64.0
    min_overview_px: int = 1024
    median_px: int = 7
    threshold: int = 8
    otsu: bool = False
    close_px: int = 4
    reference_patch_px: int = 512
    min_tissue_patches: float = 16.0
    min_hole_patches: float = 4.0
    max_holes: int = 8
    max_min_fraction: float = 0.01

    def __post_init__(self) -> None:
        if self.downsample < 1:
            raise ConfigError(f"tissue downsample is {self.downsample:g}, at least 1 is expected")
        if self.median_px % 2 == 0:
            raise ConfigError(f"tissue median_px is {self.median_px}, an odd number is expected")

    def segment(self, slide: Slide) -> Tissue:
        """Find the tissue of a slide; without any, `contours` is empty.

        Raises:
            UnreadableSlide: the overview cannot be decoded.
        """
        overview = slide.overview(self._downsample_for(slide))
        mask = self._mask(overview)
        found = Tissue((), mask, overview, (slide.width_px, slide.height_px))
        polygons = tuple(_polygon(piece, found.scale_xy) for piece in self._pieces(mask, found.scale_xy))
        return Tissue(polygons, mask, overview, found.slide_wh)

    def _downsample_for(self, slide: Slide) -> float:
        # Differs from CLAM: the resolution does not depend on the levels of the file, because the same tissue should
        # give the same mask in every format.
        return max(1.0, min(self.downsample, max(slide.width_px, slide.height_px) / self.min_overview_px))

    def _mask(self, overview: Image) -> Bool[np.ndarray, "height width"]:
        saturation = cv2.medianBlur(cv2.cvtColor(overview, cv2.COLOR_RGB2HSV)[..., 1], self.median_px)
        rule = cv2.THRESH_BINARY | (cv2.THRESH_OTSU if self.otsu else 0)
        _, binary = cv2.threshold(saturation, self.threshold, 255, rule)
        if self.close_px:
            binary = cv2.morphologyEx(binary, cv2.MORPH_CLOSE, np.ones((self.close_px, self.close_px), np.uint8))
        return np.asarray(binary > 0)

    def _pieces(self, mask: Bool[np.ndarray, "height width"], scale_xy: tuple[float, float]) -> list[_Piece]:
        reference_area = self.reference_patch_px**2 / (scale_xy[0] * scale_xy[1])
        # Differs from CLAM: the least area is bounded by a share of the slide, because 16 patches of 512 px are more
        # than all the tissue of a small slide.
        unit = min(reference_area, self.max_min_fraction * mask.size / self.min_tissue_patches)
        pieces = []
        for outline, holes in _traced(mask):
            area = cv2.contourArea(outline) - sum(cv2.contourArea(hole) for hole in holes)
            if area > self.min_tissue_patches * unit:
                largest = sorted(holes, key=cv2.contourArea, reverse=True)[: self.max_holes]
                kept = [hole for hole in largest if cv2.contourArea(hole) > self.min_hole_patches * unit]
                pieces.append(_Piece(outline, kept))
        return pieces


def outlines(mask: Bool[np.ndarray, "height width"], scale_xy: tuple[float, float]) -> tuple[Polygon, ...]:
    """Every piece of a mask that is more than a line, level-0 pixels; `scale_xy` are those per pixel of the mask."""
    pieces = [piece for piece in _traced(mask) if len(piece.outline) > 2]
    return tuple(
        _polygon(_Piece(outline, [hole for hole in holes if len(hole) > 2]), scale_xy) for outline, holes in pieces
    )


class _Piece(NamedTuple):
    """One piece of tissue, overview pixels."""

    outline: Ring
    holes: list[Ring]


def _traced(mask: Bool[np.ndarray, "height width"]) -> list[_Piece]:
    """Outlines with their holes; a piece inside a hole is a piece of its own."""
    rings, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not rings:
        return []
    parents = hierarchy[0][:, 3].tolist()
    holes: dict[int, list[Ring]] = {outer: [] for outer, parent in enumerate(parents) if parent == -1}
    for ring, parent in zip(rings, parents, strict=True):
        if parent != -1:
            holes[parent].append(np.asarray(ring[:, 0], np.int32))
    return [_Piece(np.asarray(rings[outer][:, 0], np.int32), own) for outer, own in holes.items()]


def _polygon(piece: _Piece, scale_xy: tuple[float, float]) -> Polygon:
    """Whole level-0 pixels, as in CLAM."""
    outline, *holes = [(ring * np.array(scale_xy)).astype(np.int64) for ring in (piece.outline, *piece.holes)]
    return Polygon(outline, holes)
