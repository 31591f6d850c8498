"""Tiny databases in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from src.interfaces import SlideFeatures


class MemoryStore:
    """A feature store of slides that are at hand; every slide has its own patient."""

    def __init__(self, slides: Sequence[SlideFeatures]) -> None:
        self.slides = slides
        self.dim = slides[0].features.shape[1] if slides else 0

    @property
    def slide_ids(self) -> Sequence[str]:
        return [slide.slide_id for slide in self.slides]

    def load(self, slide_id: str) -> SlideFeatures:
        return next(slide for slide in self.slides if slide.slide_id == slide_id)

    def patient_of(self, slide_id: str) -> str:
        return f"patient of {slide_id}"


def slide_of(slide_id: str, features: np.ndarray, patch_px: int = 256) -> SlideFeatures:
    """A slide whose patches stand in one line, each of one colour."""
    x = np.arange(len(features)) * patch_px
    coords = np.stack([x, np.zeros_like(x)], axis=1).astype(np.int64)
    patch_size = (patch_px, patch_px)
    return SlideFeatures(slide_id, coords, features.astype(np.float32), patch_size, 0.5, plain_colours(len(features)))


def plain_colours(n: int, seed: int = 0, lowest: int = 0, highest: int = 255) -> np.ndarray:
    """Colours of patches that are one random value of red, green, blue and grey each."""
    values = np.random.default_rng(seed).integers(lowest, highest, (n, 4), endpoint=True)
    return np.asarray(4096 * (values[..., None] == np.arange(256)), np.uint16)


def random_database(seed: int, n_patches: Sequence[int], dim: int = 32) -> MemoryStore:
    """Slides s000, s001, ... with so many random patches each."""
    rng = np.random.default_rng(seed)
    slides = [slide_of(f"s{i:03d}", keyed_features(rng, n, dim)) for i, n in enumerate(n_patches)]
    return MemoryStore(slides)


def keyed_features(rng: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """Random features whose first three columns can be SISH's key; to others they are features like the rest."""
    return np.hstack([rng.integers(0, 5, (n, 3)), rng.normal(size=(n, dim - 3))])


def unit_vectors(seed: int, n: int, dim: int) -> np.ndarray:
    """Random float32 vectors of length 1."""
    vectors = np.random.default_rng(seed).normal(size=(n, dim))
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)
