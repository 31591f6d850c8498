"""Noise, fibres, outlines and scattered points: what the demo tissue is drawn from. Lengths are pixels."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

Map = Float32[np.ndarray, "height width"]
Mask = Bool[np.ndarray, "height width"]
Points = Float64[np.ndarray, "_ 2"]
Shape = tuple[int, int]


def smooth_noise(shape: Shape, scale: float, rng: np.random.Generator) -> Map:
    """Noise of mean 0 and variance near 1 whose bumps are about `scale` wide."""
    height, width = (max(4, round(side / scale) + 3) for side in shape)
    coarse = rng.standard_normal((height, width), dtype=np.float32)
    noise: Map = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return 1.3 * noise  # interpolation lowers the variance


def fibres(potential: Map, wavelength: float, rng: np.random.Generator) -> Map:
    """Strands along the level curves of `potential`, between 0 and 1, about `wavelength` units of it apart."""
    knots = rng.random(4096, dtype=np.float32)
    profile = cv2.resize(knots[None], (4096 * 16, 1), interpolation=cv2.INTER_CUBIC)[0].clip(0, 1)
    strands: Map = profile[(potential * (16 / wavelength)).astype(np.int32) % len(profile)]
    return strands


def scattered(shape: Shape, spacing: float, rng: np.random.Generator, jitter: float = 0.3) -> Points:
    """Points (x, y) of a hexagonal grid, each moved at random by up to `jitter` of the spacing."""
    rows, columns = int(shape[0] / (spacing * 0.866)) + 2, int(shape[1] / spacing) + 2
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    points = np.stack([(x + 0.5 * (y % 2)) * spacing, y * spacing * 0.866], axis=-1).reshape(-1, 2)
    points += rng.uniform(-jitter, jitter, points.shape) * spacing
    is_inside = (points >= 0).all(1) & (points[:, 0] < shape[1]) & (points[:, 1] < shape[0])
    inside: Points = points[is_inside]
    return inside


def at(values: np.ndarray, points: Points) -> np.ndarray:
    """The values of a map under the points."""
    x, y = points.astype(np.int64).T
    found: np.ndarray = values[y, x]
    return found


def wobbly_outline(radius: float, rng: np.random.Generator, unevenness: float = 0.1, n: int = 64) -> Points:
    """A closed curve round (0, 0), of mean radius `radius`."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    r = np.ones(n)
    for k in range(2, 7):
        r += rng.normal(0, unevenness * 2 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    outline: Points = radius * r.clip(0.5, 1.6)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return outline


def filled(shape: Shape, outlines: list[Points]) -> Mask:
    """Pixels inside any of the closed curves."""
    canvas = np.zeros(shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(canvas, [outline.round().astype(np.int32)], 1)
    return canvas.astype(bool)


def softened(mask: Mask, sigma: float) -> Map:
    """A mask with soft edges, 0 to 1."""
    soft: Map = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)
    return soft
