"""Real vectors for comparing indexes: windows of HERE101's regions, as MobileNetV2 sees them, in 256 dimensions.

Differs from encoding window by window: a region goes through the network once, and a window of 224 px at stride 32 is
the mean of the 7 x 7 cells of the last map that lie in it, so that its border has seen the region around it. Each
region is seen in eight variants (two scales, mirrored or not, two stains).
Regions that queries come from are not in the base.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float32
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from src.data.files import digest, sha256_of, written_whole
from src.data.progress import tracked
from src.models.encoders.timm_network import TimmNetwork

_STRIDE_PX = 32
_CELLS_PER_WINDOW = 7
_SCALES = (1.0, 0.8)
_STAINS = ((1.0, 1.0, 1.0), (0.92, 1.0, 1.06))  # factors of red, green and blue
_N_QUERY_REGIONS = 5
_N_QUERIES = 500


@dataclass(frozen=True)
class Vectors:
    """Unit vectors to search, and two sets of queries from regions that are neither in the base nor in each other's."""

    base: Float32[np.ndarray, "row dim"]
    tuning: Float32[np.ndarray, "query dim"]
    reporting: Float32[np.ndarray, "query dim"]


def here101_windows(images: Path, weights: Path, cache: Path, dim: int = 256) -> Vectors:
    """The windows of every image in a folder; made once, then read from `cache`.

    Args:
        images: PNG files.
        weights: MobileNetV2 with timm's key names.
        cache: where the vectors are kept.
        dim: of the vectors, after PCA of the base.
    """
    paths = sorted(images.glob("*.png"))
    key = digest({"images": [path.name for path in paths], "weights": sha256_of(weights), "dim": dim})
    kept = cache / f"here101_windows-{key}.npz"
    if not kept.exists():
        vectors = _reduced(_features_of(paths, weights), dim)
        with written_whole(kept) as temporary, temporary.open("wb") as file:
            np.savez(file, base=vectors.base, tuning=vectors.tuning, reporting=vectors.reporting)
    with np.load(kept, allow_pickle=False) as parts:
        return Vectors(parts["base"], parts["tuning"], parts["reporting"])


def _features_of(paths: list[Path], weights: Path) -> list[list[Float32[np.ndarray, "window channel"]]]:
    """Per region, per variant; the first variant is the region as it is."""
    network = TimmNetwork("mobilenetv2_100", "pooled", {"pad_type": "same"})
    module = network.load(weights).eval()
    variants = list(product(_SCALES, (False, True), _STAINS))
    return [[_windows(module, path, *variant) for variant in variants] for path in tracked(paths, "regions")]


def _windows(
    module: nn.Module, path: Path, scale: float, is_mirrored: bool, stain: tuple[float, ...]
) -> Float32[np.ndarray, "window channel"]:
    with torch.inference_mode():
        cells = module.forward_features(_tensor(path, scale, is_mirrored, stain))  # type: ignore[operator]
        windows = avg_pool2d(cells, _CELLS_PER_WINDOW, stride=1)[0].flatten(1).T
    return np.ascontiguousarray(windows.numpy())


def _tensor(path: Path, scale: float, is_mirrored: bool, stain: tuple[float, ...]) -> Float32[Tensor, "1 3 y x"]:
    with PIL.Image.open(path) as image:
        width, height = (_STRIDE_PX * round(side * scale / _STRIDE_PX) for side in image.size)
        pixels = np.asarray(image.convert("RGB").resize((width, height), PIL.Image.Resampling.BICUBIC))
    stained = np.clip(pixels * np.asarray(stain, np.float32), 0, 255) / 127.5 - 1
    ready = stained[:, ::-1] if is_mirrored else stained
    return torch.from_numpy(np.ascontiguousarray(ready.transpose(2, 0, 1), np.float32))[None]


def _reduced(regions: list[list[Float32[np.ndarray, "window channel"]]], dim: int) -> Vectors:
    """PCA fitted on the base; a random rotation spreads its variance over the columns, as a linear layer would."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(regions))
    asked = np.array_split(order[: 2 * _N_QUERY_REGIONS], 2)
    base = np.concatenate([variant for region in order[2 * _N_QUERY_REGIONS :] for variant in regions[region]])
    pca = PCA(dim, svd_solver="covariance_eigh").fit(base)
    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    queries = [rng.permutation(np.concatenate([regions[i][0] for i in part]))[:_N_QUERIES] for part in asked]
    base, tuning, reporting = (_unit(pca.transform(each) @ rotation) for each in (base, *queries))
    return Vectors(base, tuning, reporting)


def _unit(vectors: np.ndarray) -> Float32[np.ndarray, "row dim"]:
    unit: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
