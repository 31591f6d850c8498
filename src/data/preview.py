"""Pictures of what was taken from a slide: tissue outlines, kept patches, and both as GeoJSON for QuPath."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import shapely
from jaxtyping import Int64

from src.data.files import write_text, written_whole
from src.data.patching.patches import Patches
from src.data.tissue import Tissue
from src.interfaces import Image, Slide

_LONG_SIDE_PX = 1024
_TISSUE, _HOLE = (0, 135, 90), (240, 140, 0)
_CANVAS, _GRID = (232, 232, 232), (176, 176, 176)
_PALE = 0.45  # how much of its colour the background keeps


def write_previews(slide: Slide, patches: Patches, folder: Path) -> None:
    """Write `masks/<slide_id>.png`, `stitches/<slide_id>.png` and `geojson/<slide_id>.geojson`.

    The mask shows the outlines of tissue in green, of holes in orange; the stitch shows the kept patches in their
    places; the GeoJSON opens in QuPath over the slide.

    Raises:
        UnreadableSlide: the overview cannot be decoded.
    """
    overview = patches.tissue.overview if patches.tissue else overview_of(slide)
    scale = overview.shape[1] / slide.width_px, overview.shape[0] / slide.height_px
    mask = _mask_picture(overview, patches.tissue, scale) if patches.tissue else overview
    write_png(folder / "masks" / f"{slide.slide_id}.png", mask)
    write_png(folder / "stitches" / f"{slide.slide_id}.png", _stitch_picture(overview, patches, scale))
    write_text(folder / "geojson" / f"{slide.slide_id}.geojson", _geojson(patches))


def overview_of(slide: Slide) -> Image:
    """The whole slide, its longer side at most 1024 px."""
    return slide.overview(max(1.0, max(slide.width_px, slide.height_px) / _LONG_SIDE_PX))


def boxes_on_overview(
    coords: Int64[np.ndarray, "patch 2"], size_level0: tuple[int, int], scale: tuple[float, float]
) -> list[list[int]]:
    """Left, top, right, bottom of each patch; what sticks out of the slide on the left or above is cut off."""
    corners = np.concatenate([coords, coords + size_level0], axis=1)
    boxes: list[list[int]] = np.rint(corners * np.tile(scale, 2)).astype(int).clip(min=0).tolist()
    return boxes


def paled(image: Image) -> Image:
    """The image as background, with less of its colour."""
    return np.rint(255 - (255 - image) * np.float32(_PALE)).astype(np.uint8)


def write_png(path: Path, image: Image) -> None:
    """Write a picture, whole or not at all."""
    with written_whole(path) as temporary:
        PIL.Image.fromarray(image).save(temporary, format="PNG")


def _mask_picture(overview: Image, tissue: Tissue, scale: tuple[float, float]) -> Image:
    outlines = [_on_overview(contour.exterior, scale) for contour in tissue.contours]
    holes = [_on_overview(ring, scale) for contour in tissue.contours for ring in contour.interiors]
    is_tissue = np.zeros(overview.shape[:2], np.uint8)
    cv2.fillPoly(is_tissue, outlines, 1)
    cv2.fillPoly(is_tissue, holes, 0)
    picture = np.where(is_tissue[..., None] > 0, overview, paled(overview))
    thickness = max(1, round(max(overview.shape) / 500))
    cv2.polylines(picture, outlines, True, _TISSUE, thickness, cv2.LINE_AA)
    cv2.polylines(picture, holes, True, _HOLE, thickness, cv2.LINE_AA)
    return picture


def _on_overview(ring: shapely.LinearRing, scale: tuple[float, float]) -> np.ndarray:
    return np.rint(np.asarray(ring.coords) * scale).astype(np.int32)


def _stitch_picture(overview: Image, patches: Patches, scale: tuple[float, float]) -> Image:
    picture = np.full_like(overview, _CANVAS)
    boxes = boxes_on_overview(patches.coords, patches.size_level0, scale)
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = overview[top:bottom, left:right]
    for left, top, right, bottom in boxes:
        cv2.rectangle(picture, (left, top), (right, bottom), _GRID, 1)
    return picture


def _geojson(patches: Patches) -> str:
    features = [*(_tissue_features(patches.tissue) if patches.tissue else ()), *_patch_features(patches)]
    return json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))


def _tissue_features(tissue: Tissue) -> Iterator[dict[str, Any]]:
    half_a_pixel = max(tissue.scale_xy) / 2
    for contour in tissue.contours:
        # QuPath refuses outlines that touch themselves, as traced ones do.
        outline = shapely.make_valid(contour.simplify(half_a_pixel), method="structure", keep_collapsed=False)
        yield _feature(outline, "annotation", {"classification": {"name": "Tissue", "color": _TISSUE}})


def _patch_features(patches: Patches) -> Iterator[dict[str, Any]]:
    width, height = patches.size_level0
    for x, y in patches.coords.tolist():
        yield _feature(shapely.box(x, y, x + width, y + height), "tile", {})


def _feature(geometry: shapely.Geometry, object_type: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(geometry),
        "properties": {"objectType": object_type, **properties},
    }
