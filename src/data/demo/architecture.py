"""How cells are arranged: glands, squamous nests, spindle fascicles, lymphoid follicles. Lengths are 0.5 um pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from scipy.spatial import cKDTree

from src.data.demo.canvas import Canvas, fibre_angles, on, softened_step
from src.data.demo.nuclei import (
    BASAL,
    CENTROBLAST,
    COLUMNAR,
    IMMUNOCYTE,
    KERATINOCYTE,
    LYMPHOCYTE,
    ROUND_SPINDLE,
    SPINDLE,
    Bank,
)
from src.data.demo.textures import Map, Mask, Points, Shape, at, fibres, filled, scattered, smooth_noise, wobbly_outline


def draw_glandular(canvas: Canvas) -> None:
    """Tubules: a lumen, columnar cells round it, their nuclei at the base and upright to it."""
    rng = canvas.rng
    height_px = 44.0  # of the columnar cells
    centres, radii = _islands(canvas, spacing=215.0, radii=(72.0, 150.0))
    outer = [centre + wobbly_outline(radius, rng) for centre, radius in zip(centres, radii, strict=True)]
    inner = [_shrunk(outline, height_px) for outline in outer]
    epithelium, lumen = filled(canvas.shape, outer), filled(canvas.shape, inner)
    canvas.paint(epithelium, 0.36 + 0.06 * smooth_noise(canvas.shape, 14.0, rng), haematoxylin=0.1)
    canvas.paint(lumen, 0.03 + 0.09 * softened_step(smooth_noise(canvas.shape, 40.0, rng) - 0.7, 0.8))
    points, angles = _palisade(outer, canvas)
    is_kept = at(epithelium & ~lumen, points)
    canvas.add_nuclei(COLUMNAR, points[is_kept], angles[is_kept])


def draw_squamous(canvas: Canvas) -> None:
    """Nests of polygonal cells with a dark basal row and whorls of keratin in the middle of many."""
    rng = canvas.rng
    centres, radii = _islands(canvas, spacing=330.0, radii=(110.0, 200.0))
    outlines = [centre + wobbly_outline(radius, rng, 0.14) for centre, radius in zip(centres, radii, strict=True)]
    nests = filled(canvas.shape, outlines)
    cells = scattered(canvas.shape, canvas.spacing(27.0), rng, 0.28)
    borders = _cell_borders(canvas.shape, cells)
    canvas.paint(nests, 0.5 - 0.24 * borders + 0.06 * smooth_noise(canvas.shape, 24.0, rng), haematoxylin=0.04)
    is_keratinising = rng.random(len(centres)) < 0.65
    pearls = _pearls(canvas, centres[is_keratinising], radii[is_keratinising])
    rim = filled(canvas.shape, [_shrunk(outline, 17.0) for outline in outlines])
    canvas.add_nuclei(KERATINOCYTE, on(nests & rim & ~pearls, cells))
    canvas.add_nuclei(BASAL, *_palisade(outlines, canvas, step=15.0, depth=8.0))


def draw_spindle(canvas: Canvas) -> None:
    """Fascicles of long parallel cells that each run their own way, some seen end-on; collagen between them."""
    rng = canvas.rng
    fascicle, potential = _fascicles(canvas.shape, rng)
    muscle = smooth_noise(canvas.shape, 260.0, rng) > -1.5 + 1.3 * canvas.patient.fibrosis
    strands = fibres(potential, 9.0, rng) * 0.6 + fibres(potential, 3.0, rng) * 0.4
    canvas.paint(muscle, 0.3 + 0.34 * strands, haematoxylin=0.03, edge_px=3.0)
    cells = on(muscle, scattered(canvas.shape, canvas.spacing(25.0), rng, 0.45))
    is_end_on = at(fascicle, cells) % 5 == 0
    along = cells[~is_end_on]
    canvas.add_nuclei(SPINDLE, along, fibre_angles(potential, along) + rng.normal(0, 0.12, len(along)))
    canvas.add_nuclei(ROUND_SPINDLE, cells[is_end_on])


def draw_lymphoid(canvas: Canvas) -> None:
    """Sheets of small round cells, and follicles: a pale centre of large cells in a dense dark mantle."""
    rng = canvas.rng
    septa = np.abs(smooth_noise(canvas.shape, 300.0, rng)) < 0.02 + 0.28 * canvas.patient.fibrosis
    centres, radii = _islands(canvas, spacing=760.0, radii=(190.0, 330.0))
    outlines = [centre + wobbly_outline(radius, rng, 0.06) for centre, radius in zip(centres, radii, strict=True)]
    follicles = filled(canvas.shape, outlines)
    germinal = filled(canvas.shape, [_shrunk(outline, 0.34 * r) for outline, r in zip(outlines, radii, strict=True)])
    sheets = ~septa | follicles
    canvas.paint(sheets, 0.17 + 0.05 * smooth_noise(canvas.shape, 20.0, rng), haematoxylin=0.06, edge_px=4.0)
    canvas.paint(germinal, 0.26 + 0.05 * smooth_noise(canvas.shape, 20.0, rng), haematoxylin=0.05, edge_px=12.0)
    canvas.add_nuclei(IMMUNOCYTE, on(sheets & ~follicles, scattered(canvas.shape, canvas.spacing(20.0), rng, 0.4)))
    canvas.add_nuclei(IMMUNOCYTE, on(follicles & ~germinal, scattered(canvas.shape, canvas.spacing(16.0), rng, 0.35)))
    large = on(germinal, scattered(canvas.shape, canvas.spacing(25.0), rng, 0.35))
    canvas.add_nuclei(CENTROBLAST, large)
    small = on(germinal, scattered(canvas.shape, 30.0, rng, 0.45))
    small = small[rng.random(len(small)) < 0.8 * canvas.patient.infiltration]
    Bank(LYMPHOCYTE, rng).stamp(canvas.nuclei, small, canvas.random_angles(small), rng)


ARCHITECTURES: Mapping[str, Callable[[Canvas], None]] = {
    "glandular": draw_glandular,
    "squamous": draw_squamous,
    "spindle": draw_spindle,
    "lymphoid": draw_lymphoid,
}


def _islands(canvas: Canvas, spacing: float, radii: tuple[float, float]) -> tuple[Points, np.ndarray]:
    """Centres and radii of islands that hardly touch; fibrosis drives them apart."""
    apart = 1 + 0.35 * canvas.patient.fibrosis
    centres = scattered(canvas.shape, spacing * apart, canvas.rng, 0.25)
    if len(centres) < 2:  # a tiny slide
        return np.array(canvas.shape[::-1])[None] / 2, np.array([radii[0]])
    nearest = cKDTree(centres).query(centres, k=2)[0][:, 1]
    drawn = canvas.rng.uniform(*radii, len(centres))
    return centres, np.minimum(drawn, 0.5 * nearest / apart**0.5)


def _shrunk(outline: Points, by_px: float) -> Points:
    centre = outline.mean(0)
    radius = np.linalg.norm(outline - centre, axis=1, keepdims=True)
    shrunk: Points = centre + (outline - centre) * np.maximum(0.08, 1 - by_px / radius)
    return shrunk


def _palisade(
    outlines: list[Points], canvas: Canvas, step: float = 13.0, depth: float = 15.0
) -> tuple[Points, np.ndarray]:
    """Points along the inside of the outlines, about `step` apart and `depth` deep, and the direction inwards."""
    points, angles = [], []
    uneven = 3 + 7 * canvas.patient.pleomorphism
    for outline in outlines:
        row = _along(outline, canvas.spacing(step))
        inwards = outline.mean(0) - row
        inwards /= np.linalg.norm(inwards, axis=1, keepdims=True).clip(1e-6)
        points.append(row + inwards * (depth + canvas.rng.uniform(-0.5, 1.3, (len(row), 1)) * uneven))
        angles.append(np.arctan2(inwards[:, 1], inwards[:, 0]) + canvas.rng.normal(0, 0.1, len(row)))
    limit = np.array(canvas.shape[::-1]) - 1
    return np.concatenate(points).clip(0, limit), np.concatenate(angles)


def _along(outline: Points, step: float) -> Points:
    closed = np.vstack([outline, outline[:1]])
    travelled = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    stops = np.arange(0, travelled[-1], step)
    return np.stack([np.interp(stops, travelled, closed[:, axis]) for axis in (0, 1)], axis=1)


def _nearest(shape: Shape, points: Points) -> tuple[Map, np.ndarray]:
    """Distance of each pixel to the nearest point, and a number for that point."""
    is_far = np.ones(shape, np.uint8)
    x, y = points.astype(np.int64).T
    is_far[y, x] = 0
    distance, number = cv2.distanceTransformWithLabels(is_far, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return distance, number


def _cell_borders(shape: Shape, cells: Points) -> Map:
    """1 on the lines half way between neighbouring cells, 0 within them."""
    _, cell = _nearest(shape, cells)
    borders = np.zeros(shape, np.float32)
    borders[:, 1:] = cell[:, 1:] != cell[:, :-1]
    borders[1:] = np.maximum(borders[1:], cell[1:] != cell[:-1])
    soft: Map = np.clip(2.2 * cv2.GaussianBlur(borders, (0, 0), 1.2), 0, 1)
    return soft


def _pearls(canvas: Canvas, centres: Points, radii: np.ndarray) -> Mask:
    """Whorls of keratin: bright rings round the centres."""
    rng = canvas.rng
    outlines = [centre + wobbly_outline(0.42 * r, rng, 0.1) for centre, r in zip(centres, radii, strict=True)]
    pearls = filled(canvas.shape, outlines)
    if len(centres):
        distance, _ = _nearest(canvas.shape, centres)
        rings = fibres(distance + 5 * smooth_noise(canvas.shape, 40.0, rng), 7.0, rng)
        canvas.paint(pearls, 0.5 + 0.5 * rings, edge_px=3.0)
    return pearls


def _fascicles(shape: Shape, rng: np.random.Generator) -> tuple[np.ndarray, Map]:
    """A number for each pixel's fascicle, and a potential whose level curves run along it."""
    seeds = scattered(shape, 430.0, rng, 0.45)
    x, y = np.meshgrid(np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32))
    warp_x, warp_y = 60 * smooth_noise(shape, 240.0, rng), 60 * smooth_noise(shape, 240.0, rng)
    _, fascicle = _nearest(shape, seeds)
    fascicle = cv2.remap(
        fascicle.astype(np.float32), x + warp_x, y + warp_y, cv2.INTER_NEAREST, None, cv2.BORDER_REFLECT
    )
    fascicle = fascicle.astype(np.int32)
    direction = rng.uniform(0, np.pi, fascicle.max() + 1).astype(np.float32)[fascicle]
    wave = 7 * smooth_noise(shape, 70.0, rng) + 22 * smooth_noise(shape, 220.0, rng)
    return fascicle, x * np.cos(direction) + y * np.sin(direction) + wave
