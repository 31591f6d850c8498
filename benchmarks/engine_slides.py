"""The slides that engines are compared on: features, colours and SISH keys of random patches, or those of an .npz file.

Patches are of some kinds of tissue; each label mixes them in its own proportions, and a third of the kinds is common.
Patches of one kind are alike (cosine about 0.8), so that RetCCL's threshold of 0.7 returns bags, and have keys near
each other, so that SISH finds them. Each patient has two slides of one label.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from src.interfaces import PatchColours, SlideFeatures

N_PATCHES = 100
DIM = 512

_N_LABELS = 8
_KINDS_PER_LABEL = 3  # one of them common
_SHARES = {"common": 0.06, "own": 0.35, "other": 0.02}
_SPREAD = {"patient": 0.35, "patch": 0.45}  # of features around those of their kind
_PATCH_PX = 1024
_LARGEST_SUMS = (130_048, 32_512, 8_128)  # of SISH's three maps of codewords
_DIGITS = (1, 10**6, 10**11)
_COLOUR_SPREAD = 12.0  # of the pixels of a patch, grey values
_PIXELS = 4096


@dataclass(frozen=True)
class Slides:
    """A cohort in memory, and a feature store of it.

    Attributes:
        sish_index: SISH's integer key of each patch.
        with_keys: features begin with the three sums that the key is made of, as SISH's code takes them.
    """

    features: Float32[np.ndarray, "slide patch feature"]
    coords: Int64[np.ndarray, "slide patch 2"]
    mean_rgb: Float32[np.ndarray, "slide patch 3"]
    sish_index: Int64[np.ndarray, "slide patch"]
    label: np.ndarray
    patient: np.ndarray
    slide: np.ndarray
    with_keys: bool = False

    @staticmethod
    def read(path: Path) -> Slides:
        """An .npz file of arrays that are named as here."""
        with np.load(path, allow_pickle=False) as file:
            return Slides(**{name: file[name] for name in file})

    @property
    def dim(self) -> int:
        """Length of a feature vector."""
        return int(self.features.shape[2]) + len(_DIGITS) * self.with_keys

    @cached_property
    def slide_ids(self) -> list[str]:
        """Names, in the order of the arrays."""
        return [str(name) for name in self.slide]

    def load(self, slide_id: str) -> SlideFeatures:
        """One slide, whose colours are spread around the mean of each patch."""
        place = self._places[slide_id]
        features = self.features[place]
        if self.with_keys:
            features = np.hstack([_sums(self.sish_index[place]), features])
        size = (_PATCH_PX, _PATCH_PX)
        return SlideFeatures(slide_id, self.coords[place], features, size, 0.5, _colours(self.mean_rgb[place]))

    def patient_of(self, slide_id: str) -> str:
        """Owner of the slide."""
        return str(self.patient[self._places[slide_id]])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {slide_id: place for place, slide_id in enumerate(self.slide_ids)}


def drawn(n_slides: int, n_patches: int = N_PATCHES, dim: int = DIM, seed: int = 0) -> Slides:
    """Random slides; see the module."""
    rng = np.random.default_rng(seed)
    label = np.arange(n_slides) % _N_LABELS
    patient = np.arange(n_slides) // (2 * _N_LABELS) * _N_LABELS + label
    shares = _shares()
    n_kinds = shares.shape[1]
    kind = np.stack([rng.choice(n_kinds, n_patches, p=shares[one]) for one in label])
    own = rng.normal(size=(int(patient.max()) + 1, 1, dim)) * _SPREAD["patient"]
    noise = rng.normal(size=(n_slides, n_patches, dim)) * _SPREAD["patch"]
    colour = rng.uniform(0.3, 0.9, (n_kinds, 3))[kind] + rng.normal(0, 0.05, (n_slides, n_patches, 3))
    return Slides(
        (rng.normal(size=(n_kinds, dim))[kind] + own[patient] + noise).astype(np.float32),
        np.tile(_grid(n_patches), (n_slides, 1, 1)),
        colour.clip(0, 1).astype(np.float32),
        _keys(rng, kind, n_kinds),
        _names("l", label),
        _names("p", patient),
        _names("s", np.arange(n_slides)),
    )


def _names(letter: str, numbers: Int64[np.ndarray, " slide"]) -> np.ndarray:
    return np.array([f"{letter}{number:05d}" for number in numbers])


def _shares() -> np.ndarray:
    """Of each kind of tissue in each label."""
    shares = np.full((_N_LABELS, _KINDS_PER_LABEL * _N_LABELS), _SHARES["other"])
    shares[:, :_N_LABELS] = _SHARES["common"]
    for label, own in enumerate(shares):
        own[_N_LABELS + 2 * label : _N_LABELS + 2 * label + 2] = _SHARES["own"]
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _grid(n_patches: int) -> Int64[np.ndarray, "patch 2"]:
    places = np.arange(n_patches)
    side = int(np.ceil(np.sqrt(n_patches)))
    return np.stack([places % side, places // side], axis=1) * _PATCH_PX


def _keys(rng: np.random.Generator, kind: Int64[np.ndarray, "slide patch"], n_kinds: int) -> np.ndarray:
    """Keys in the range of real ones, near each other within a kind."""
    fine, middle, coarse = _LARGEST_SUMS
    third = (
        (rng.normal(coarse / 2, 900, n_kinds)[kind] + rng.normal(0, 120, kind.shape)).clip(0, coarse).astype(np.int64)
    )
    second = np.minimum(4 * third + rng.integers(0, 96, kind.shape), middle)
    first = np.minimum(4 * second + rng.integers(0, 384, kind.shape), fine)
    return np.asarray(sum(factor * part for factor, part in zip(_DIGITS, (first, second, third), strict=True)))


def _sums(keys: Int64[np.ndarray, " patch"]) -> Float32[np.ndarray, "patch 3"]:
    _, second, third = _DIGITS
    return np.stack([keys % second, keys % third // second, keys // third], axis=1).astype(np.float32)


def _colours(mean_rgb: Float32[np.ndarray, "patch 3"]) -> PatchColours:
    means = np.column_stack([mean_rgb, mean_rgb.mean(axis=1)])
    return np.asarray(_HISTOGRAMS[np.rint(255 * means).astype(np.int64)])


def _histograms() -> np.ndarray:
    """Pixels of each grey value, for each mean."""
    values = np.arange(256)
    density = np.exp(-0.5 * ((values - values[:, None]) / _COLOUR_SPREAD) ** 2)
    return np.asarray(np.rint(_PIXELS * density / density.sum(axis=1, keepdims=True)), np.uint16)


_HISTOGRAMS = _histograms()
