"""Nuclei: small pictures of haematoxylin density, drawn once per slide in many shapes, then stamped everywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from src.data.demo.textures import Map, Points

Sprite = Float32[np.ndarray, "sprite_height sprite_width"]

N_ANGLES = 16
_N_VARIANTS = 10
_TAKEN = 0.3  # haematoxylin density that only nuclei reach


@dataclass(frozen=True)
class Nucleus:
    """What the nuclei of one cell type look like.

    Attributes:
        length_px, width_px: mean size.
        spread: relative standard deviation of the size.
        density: mean haematoxylin.
        openness: 0 for evenly dark chromatin, 1 for a clear centre within a dark rim.
        n_nucleoli: most nucleoli per nucleus.
    """

    length_px: float
    width_px: float
    spread: float
    density: float
    openness: float
    n_nucleoli: int = 0

    def pleomorphic(self, pleomorphism: float) -> Nucleus:
        """The same cell type, larger, darker and more uneven by `pleomorphism` (0 to 1)."""
        size = 0.88 + 0.38 * pleomorphism
        return replace(
            self,
            length_px=self.length_px * size,
            width_px=self.width_px * size,
            spread=self.spread + 0.16 * pleomorphism,
            density=self.density * (0.95 + 0.2 * pleomorphism),
            n_nucleoli=self.n_nucleoli + round(1.5 * pleomorphism),
        )


# Sizes at 0.5 um per pixel: a lymphocyte's nucleus is about 7 um.
LYMPHOCYTE = Nucleus(13.0, 12.0, 0.08, 1.25, 0.1)
COLUMNAR = Nucleus(21.0, 12.0, 0.12, 0.85, 0.5, 1)
KERATINOCYTE = Nucleus(16.5, 13.0, 0.14, 0.75, 0.7, 2)
BASAL = Nucleus(17.0, 11.0, 0.12, 1.0, 0.3)
SPINDLE = Nucleus(32.0, 7.5, 0.18, 0.85, 0.45)
ROUND_SPINDLE = Nucleus(12.0, 10.0, 0.15, 0.9, 0.3)
FIBROBLAST = Nucleus(26.0, 5.5, 0.2, 1.0, 0.0)
CENTROBLAST = Nucleus(18.0, 16.0, 0.15, 0.9, 0.75, 2)
IMMUNOCYTE = Nucleus(13.5, 12.5, 0.12, 1.2, 0.4)
MITOSIS = Nucleus(20.0, 8.0, 0.2, 1.7, 0.0)


class Bank:
    """Ready-drawn nuclei of one cell type, at every angle."""

    def __init__(self, nucleus: Nucleus, rng: np.random.Generator) -> None:
        """Draw them."""
        angles = np.arange(N_ANGLES) * np.pi / N_ANGLES
        self._sprites = [[_draw(nucleus, angle, rng) for _ in range(_N_VARIANTS)] for angle in angles]

    def stamp(
        self, layer: Map, points: Points, angles: Float64[np.ndarray, " point"], rng: np.random.Generator
    ) -> None:
        """Put a nucleus at each point that no other one covers; where edges overlap, the darker pixel stays."""
        turns = (np.round(angles / np.pi * N_ANGLES) % N_ANGLES).astype(int)
        variants = rng.integers(0, _N_VARIANTS, len(points))
        for (x, y), turn, variant in zip(points.astype(int).tolist(), turns, variants, strict=True):
            _put(layer, self._sprites[turn][variant], x, y)


def _draw(nucleus: Nucleus, angle: float, rng: np.random.Generator) -> Sprite:
    length = nucleus.length_px * np.exp(rng.normal(0, nucleus.spread))
    width = nucleus.width_px * np.exp(rng.normal(0, nucleus.spread))
    half = int(max(length, width) / 2) + 4
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    across = across + rng.normal(0, 0.04) * along**2 / length  # a slight bend
    radius = np.hypot(along / (length / 2), across / (width / 2)) * _uneven(np.arctan2(across, along), nucleus, rng)
    inside = np.clip((1 - radius) * width / 3.2, 0, 1)
    sprite: Sprite = (inside * nucleus.density * _chromatin(radius, nucleus, rng)).astype(np.float32)
    return sprite


def _uneven(angle: np.ndarray, nucleus: Nucleus, rng: np.random.Generator) -> np.ndarray:
    uneven = np.ones_like(angle)
    for k in (2, 3, 4):
        uneven += rng.normal(0, 0.3 * nucleus.spread) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return uneven


def _chromatin(radius: np.ndarray, nucleus: Nucleus, rng: np.random.Generator) -> np.ndarray:
    grain = cv2.GaussianBlur(rng.standard_normal(radius.shape).astype(np.float32), (0, 0), 1.1) * 2.2
    clear = nucleus.openness * 0.45 * np.clip(1 - radius**2, 0, 1)
    chromatin = 1 - clear + (0.16 + 0.12 * nucleus.openness) * grain
    half = len(radius) // 2
    for _ in range(rng.integers(0, nucleus.n_nucleoli + 1)):
        y, x = rng.normal(half, nucleus.width_px / 7, 2)
        rows, columns = np.ogrid[: len(radius), : len(radius)]
        chromatin = chromatin + 0.7 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2.5)
    clipped: np.ndarray = np.clip(chromatin, 0.25, 1.6)
    return clipped


def _put(layer: Map, sprite: Sprite, x: int, y: int) -> None:
    height, width = sprite.shape
    top, left = y - height // 2, x - width // 2
    if top < 0 or left < 0 or top + height > layer.shape[0] or left + width > layer.shape[1]:
        return
    if layer[y, x] < _TAKEN:
        window = layer[top : top + height, left : left + width]
        np.maximum(window, sprite, out=window)
