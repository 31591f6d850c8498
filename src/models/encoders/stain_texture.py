"""A descriptor without weights: how much of each stain a patch holds, and how its nuclei are arranged.

Colour deconvolution (Ruifrok and Johnston, 2001; stain vectors of scikit-image) gives haematoxylin and eosin. Three
kinds of histogram describe them: the amounts of both stains; the local binary patterns of haematoxylin (Ojala et al.,
2002: uniform, rotation invariant, 3 x 3) on three scales; and its responses to blob, edge and density filters at the
sizes of nuclei and of groups of nuclei. It is standardised before them, so that a darker stain is no other texture.

Every histogram sums to one and enters by its square root (Hellinger), so the cosine of two features is the mean overlap
of their histograms. Working resolution: the pixels as given, whatever the size; give patches at about 0.5 um per pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32
from skimage.color import hed_from_rgb

from src.errors import ConfigError
from src.interfaces import Image

_VERSION = 1
_OPTICAL_DENSITY = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
_STAINS = np.ascontiguousarray(hed_from_rgb[:, :2].T, dtype=np.float32)  # OD -> haematoxylin, eosin

_STAIN_BINS = 16
_STAIN_RANGE = (0.0, 2.0)
_JOINT_BINS = 8
_FILTER_BINS = 12
_SIGMAS_PX = (1.5, 3.0, 6.0)  # edges and blobs: from chromatin to large nuclei at 0.5 um per pixel
_DENSITY_SIGMAS_PX = (6.0, 12.0, 24.0)  # groups of nuclei: nests, glands, cords
_N_SCALES = 3
_N_PATTERNS = 10
_N_FILTERS = 2 * len(_SIGMAS_PX) + len(_DENSITY_SIGMAS_PX)
_DIM = 2 * _STAIN_BINS + _JOINT_BINS**2 + _N_SCALES * _N_PATTERNS + _N_FILTERS * _FILTER_BINS

Plane = Float32[np.ndarray, "height width"]


class StainTexture:
    """Stain and texture histograms; deterministic, 234 values.

    Args:
        name: how configs, feature files and errors call it.
        dim: length of a feature, 234.
        access: always open; it has no weights.
        source: where it comes from.
        licence: of this code.
        mpp: microns per pixel at which the filters have the sizes of nuclei.
        patch_size_px: recommended side of a patch at that mpp; any size works.
        batch_size: patches that callers hand over at a time; does not change the features.
        checkpoint: ignored, like the two after it; taken so that a sweep over encoders can set it for the others.
        device: ignored.
        precision: ignored.
    """

    has_text = False

    def __init__(
        self,
        name: str,
        dim: int,
        access: str,
        source: str,
        licence: str,
        mpp: float,
        patch_size_px: int,
        batch_size: int,
        checkpoint: str | None = None,
        device: str = "auto",
        precision: str = "fp32",
    ) -> None:
        if dim != _DIM:
            raise ConfigError(f"encoder.dim is {dim}; {name} has {_DIM} values")
        self.name = name
        self.dim = dim
        self.access = access
        self.source = source
        self.licence = licence
        self.mpp = mpp
        self.patch_size_px = patch_size_px
        self.batch_size = batch_size

    def fingerprint(self) -> dict[str, Any]:
        """Name and version of the definition; there is nothing else to set."""
        return {"name": self.name, "version": _VERSION}

    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        """One row per patch, of length one."""
        return (
            np.stack([_describe(patch) for patch in patches]) if len(patches) else np.empty((0, self.dim), np.float32)
        )


def _describe(patch: Image) -> Float32[np.ndarray, " feature"]:
    haematoxylin, eosin = _stains(patch)
    histograms = [
        *_amounts(haematoxylin, eosin),
        *_patterns(haematoxylin),
        *_responses(_standardised(haematoxylin)),
    ]
    feature: np.ndarray = np.sqrt(np.concatenate(histograms) / len(histograms)).astype(np.float32)
    return feature


def _stains(patch: Image) -> tuple[Plane, Plane]:
    density = _OPTICAL_DENSITY[patch]
    planes = cv2.split(cv2.transform(density, _STAINS))
    return planes[0], planes[1]


def _standardised(plane: Plane) -> Plane:
    standardised: np.ndarray = (plane - plane.mean()) / max(float(plane.std()), 1e-3)
    return standardised


def _amounts(haematoxylin: Plane, eosin: Plane) -> list[np.ndarray]:
    """Each stain alone, finely, and both together, coarsely."""
    joint = np.array([_bins(haematoxylin, _STAIN_RANGE, _JOINT_BINS), _bins(eosin, _STAIN_RANGE, _JOINT_BINS)])
    return [
        _histogram(_bins(haematoxylin, _STAIN_RANGE, _STAIN_BINS), _STAIN_BINS),
        _histogram(_bins(eosin, _STAIN_RANGE, _STAIN_BINS), _STAIN_BINS),
        _histogram(joint[0] * _JOINT_BINS + joint[1], _JOINT_BINS**2),
    ]


def _patterns(plane: Plane) -> list[np.ndarray]:
    """Local binary patterns on scales 1, 1/2, 1/4."""
    histograms = []
    for _ in range(_N_SCALES):
        plane = cv2.GaussianBlur(plane, (0, 0), 1.0)
        histograms.append(_local_binary_patterns(plane))
        plane = plane[::2, ::2]
    return histograms


def _local_binary_patterns(plane: Plane) -> np.ndarray:
    padded = cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_REFLECT_101)
    height, width = plane.shape
    codes = np.zeros(plane.shape, np.uint8)
    for bit, (dy, dx) in enumerate(_RING):
        codes |= (padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] >= plane).astype(np.uint8) << np.uint8(bit)
    return _histogram(_UNIFORM[codes], _N_PATTERNS)


def _responses(plane: Plane) -> list[np.ndarray]:
    """Blobs and edges at the sizes of nuclei, density at the sizes of their groups."""
    smooth = [cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in _SIGMAS_PX]
    coarse = cv2.pyrDown(cv2.pyrDown(plane))
    density = [cv2.GaussianBlur(coarse, (0, 0), sigma / 4) for sigma in _DENSITY_SIGMAS_PX]
    return [
        *(_response(_blobs(image, sigma), (-2.0, 2.0)) for image, sigma in zip(smooth, _SIGMAS_PX, strict=True)),
        *(_response(_edges(image, sigma), (0.0, 1.5)) for image, sigma in zip(smooth, _SIGMAS_PX, strict=True)),
        *(_response(image, (-2.0, 2.0)) for image in density),
    ]


def _blobs(smooth: Plane, sigma: float) -> Plane:
    """Laplacian times sigma squared: as large for a large nucleus as for a small one."""
    laplacian: np.ndarray = cv2.Laplacian(smooth, cv2.CV_32F)
    return -np.float32(sigma**2) * laplacian


def _edges(smooth: Plane, sigma: float) -> Plane:
    """Length of the gradient times sigma."""
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    length: np.ndarray = cv2.magnitude(dx, dy)
    return np.float32(sigma) * length


def _response(plane: Plane, limits: tuple[float, float]) -> np.ndarray:
    return _histogram(_bins(plane, limits, _FILTER_BINS), _FILTER_BINS)


def _bins(plane: Plane, limits: tuple[float, float], n_bins: int) -> np.ndarray:
    """Bin of each pixel; what lies beyond the limits falls into the outer bins."""
    low, high = limits
    return np.clip((plane - low) * (n_bins / (high - low)), 0, n_bins - 1).astype(np.uint8)


def _histogram(bins: np.ndarray, n_bins: int) -> np.ndarray:
    counts: np.ndarray = np.bincount(bins.ravel(), minlength=n_bins)
    return counts / bins.size


def _uniform_patterns() -> np.ndarray:
    """Class of each 8-bit pattern: the number of ones if they are one run on the ring, else 9."""
    patterns = (np.arange(256)[:, None] >> np.arange(8)) & 1
    n_changes = (patterns != np.roll(patterns, 1, axis=1)).sum(1)
    return np.where(n_changes <= 2, patterns.sum(1), 9).astype(np.uint8)


_RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
_UNIFORM = _uniform_patterns()
