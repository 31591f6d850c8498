"""One demo slide: tissue is drawn, stained, and written as a tiled JPEG pyramid that says its microns per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile

from src.data.demo.architecture import ARCHITECTURES
from src.data.demo.canvas import Canvas, add_stroma_cells, stroma
from src.data.demo.patients import DemoPatient, Stain
from src.data.demo.textures import Map, Mask, Shape, smooth_noise, softened
from src.data.files import written_whole
from src.interfaces import Image

RENDER_MPP = 0.5
_GLASS = 244.0
_JPEG_QUALITY = {0.5: 68, 0.25: 46}  # of the finer scan, which carries no finer detail
_TILE_PX = 256
_LEVEL_STEP = 4
_N_LEVELS = 3


@dataclass(frozen=True)
class DemoSlide:
    """What one slide is drawn from.

    Attributes:
        mpp: 0.5, or 0.25 for a scan of twice the pixels.
        seed: of this slide alone.
    """

    slide_id: str
    patient: DemoPatient
    mpp: float
    width_um: float
    height_um: float
    seed: tuple[int, ...]


def write_demo_slide(slide: DemoSlide, path: Path) -> None:
    """Draw a slide and write it."""
    rng = np.random.default_rng(slide.seed)
    shape = round(slide.height_um / RENDER_MPP), round(slide.width_um / RENDER_MPP)
    image = _stained(*_draw(slide.patient, shape, rng), slide.patient.stain)
    if slide.mpp < RENDER_MPP:
        zoom = RENDER_MPP / slide.mpp
        image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    _write_pyramid(path, image, slide.mpp)


def _draw(patient: DemoPatient, shape: Shape, rng: np.random.Generator) -> tuple[Map, Map]:
    """Haematoxylin and eosin density."""
    canvas = stroma(patient, shape, rng)
    ARCHITECTURES[patient.tissue](canvas)
    add_stroma_cells(canvas)
    return _composed(canvas, _tissue_outline(shape, rng))


def _tissue_outline(shape: Shape, rng: np.random.Generator) -> Mask:
    """An uneven blob that leaves a margin of glass, with a few tears."""
    height, width = shape
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    size = min(shape)
    blob = 0.62 - (np.abs(x) ** 3 + np.abs(y) ** 3).astype(np.float32)
    blob += 0.16 * smooth_noise(shape, 0.3 * size, rng) + 0.03 * smooth_noise(shape, 0.04 * size, rng)
    tears = np.abs(smooth_noise(shape, 0.5 * size, rng)) < 0.006 * smooth_noise(shape, 0.25 * size, rng)
    edge = np.maximum(np.abs(x), np.abs(y)) < 0.97
    outline: Mask = (blob > 0) & ~tears & edge
    return outline


def _composed(canvas: Canvas, outline: Mask) -> tuple[Map, Map]:
    """Nuclei hide the eosin under them; nothing lies outside the outline; thickness and grain vary a little."""
    nuclear = np.minimum(canvas.nuclei, 1)
    thickness = softened(outline, 1.5) * (1 + 0.06 * smooth_noise(canvas.shape, 500.0, canvas.rng))
    grain = cv2.GaussianBlur(canvas.rng.standard_normal(canvas.shape, dtype=np.float32), (0, 0), 0.9)
    haematoxylin = np.maximum(canvas.haematoxylin, canvas.nuclei) * (1 + 0.1 * grain)
    eosin = canvas.eosin * (1 - 0.55 * nuclear) * (1 + 0.16 * grain)
    return haematoxylin * thickness, eosin * thickness


def _stained(haematoxylin: Map, eosin: Map, stain: Stain) -> Image:
    """Beer and Lambert: light is lost exponentially with stain."""
    image = np.empty((*haematoxylin.shape, 3), np.uint8)
    for channel, (h, e) in enumerate(zip(stain.haematoxylin, stain.eosin, strict=True)):
        light = _GLASS * cv2.exp(-(haematoxylin * h + eosin * e).astype(np.float32))
        image[..., channel] = np.clip(light, 0, 255).round()
    return image


def _write_pyramid(path: Path, image: Image, mpp: float) -> None:
    pixels_per_cm, quality = 1e4 / mpp, _JPEG_QUALITY[mpp]
    with written_whole(path) as temporary, tifffile.TiffWriter(temporary) as tiff:
        for level in range(_N_LEVELS):
            tiff.write(
                image,
                tile=(_TILE_PX, _TILE_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": quality, "optimize": True},
                subfiletype=int(level > 0),
                resolution=(pixels_per_cm, pixels_per_cm),
                resolutionunit="CENTIMETER",
                metadata=None,
                software=False,
            )
            pixels_per_cm /= _LEVEL_STEP
            height, width = image.shape[0] // _LEVEL_STEP, image.shape[1] // _LEVEL_STEP
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
