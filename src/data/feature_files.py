"""One HDF5 file per slide: `coords` and `features`, readable by CLAM and TRIDENT, and able to read theirs.

A third dataset, `colours`, is ours; what other tools write has none.

Layouts: CLAM (mahmoodlab/CLAM, `h5_files/`), TRIDENT (mahmoodlab/TRIDENT, `features_*/`), STAMP (KatherLab/STAMP,
`feats` with coordinates in microns). The `coords` dataset carries the attributes of CLAM and TRIDENT side by side. The
two give `patch_size` different meanings (pixels at `patch_level`; pixels after resizing): where no pyramid level makes
both true, TRIDENT's is written and `clam_reads_these_pixels` is false.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from jaxtyping import Float32, Int64

from src.data.files import written_whole
from src.errors import FeatureFileError
from src.interfaces import PatchColours, SlideFeatures

FeatureDtype = Literal["float32", "float16"]
FORMAT_VERSION = 2
_MICRONS_PER_PIXEL_AT_1X = 10.0  # 20x is 0.5 um per pixel
_COLOURS_PER_CHUNK = 256  # half a MiB


@dataclass(frozen=True)
class PatchGeometry:
    """How the patches of a slide were cut; written beside the coordinates.

    Attributes:
        size_level0: width and height of a patch, level-0 pixels.
        size_px: width and height of a patch as the encoder got it.
        target_mpp: microns per pixel of that patch.
        slide_wh: width and height of the slide at level 0.
        slide_mpp: microns per pixel of level 0.
        mpp_source: where `slide_mpp` came from: table, file or default.
        level_downsamples: downsample of each level of the pyramid, 1.0 first.
    """

    size_level0: tuple[int, int]
    size_px: tuple[int, int]
    target_mpp: float
    slide_wh: tuple[int, int]
    slide_mpp: float
    mpp_source: str
    level_downsamples: tuple[float, ...] = (1.0,)


def write_features(
    path: Path,
    coords: Int64[np.ndarray, "patch 2"],
    features: Float32[np.ndarray, "patch feature"],
    geometry: PatchGeometry,
    provenance: Mapping[str, str],
    dtype: FeatureDtype = "float32",
    colours: PatchColours | None = None,
) -> None:
    """Write a slide's patches and features, contiguous, whole or not at all.

    Args:
        path: the file; its stem is the slide's name.
        coords: top-left corners, level-0 pixels.
        features: as the encoder gave them; float16 halves the file.
        geometry: how the patches were cut.
        provenance: strings kept as attributes of `features` (encoder, encoder_digest, key, source, ...).
        dtype: how features are stored.
        colours: of the patches; compressed, as most counts are 0.

    Raises:
        FeatureFileError: a feature is NaN or infinite, also after rounding to `dtype`.
    """
    with np.errstate(over="ignore"):
        stored = features.astype(dtype)
    if not np.isfinite(stored).all():
        bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        raise FeatureFileError(f"{path.stem}: features of {len(bad)} patches are not finite in {dtype}: {bad[:5]} ...")
    with written_whole(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("coords", data=coords).attrs.update(_coords_attributes(path.stem, geometry))
        file.create_dataset("features", data=stored).attrs.update({"name": path.stem, "savetodir": ".", **provenance})
        if colours is not None and len(colours):
            # LZF is fast enough to be read with every slide.
            chunks = (min(len(colours), _COLOURS_PER_CHUNK), *colours.shape[1:])
            file.create_dataset("colours", data=colours, chunks=chunks, compression="lzf", shuffle=True)


def read_features(path: Path, slide_id: str, mpp: float | None = None) -> SlideFeatures:
    """Read the features of one slide in our layout, CLAM's, TRIDENT's or STAMP's.

    Args:
        path: the HDF5 file.
        slide_id: the slide it belongs to.
        mpp: microns per pixel of level 0, needed for STAMP, whose coordinates are in microns.

    Raises:
        FeatureFileError: the file is damaged, holds no patch features, or its arrays do not fit each other.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path, slide_id, mpp)
    except OSError as error:
        raise FeatureFileError(f"{slide_id}: {path} cannot be read as HDF5 ({_first_line(error)})") from error


def all_finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or infinite: the sum tells it in one pass; only if it overflows each value is looked at.

    >>> all_finite(np.array([1.0, np.nan])), all_finite(np.full(9, 3e38, np.float32))
    (False, True)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()
    return bool(np.isfinite(total) or np.isfinite(values).all())


def read_provenance(path: Path) -> dict[str, str]:
    """The string attributes of `features`, and `n_patches`; empty for a file that cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            attributes = {k: v for k, v in file["features"].attrs.items() if isinstance(v, str)}
            return {**attributes, "n_patches": str(len(file["features"]))}
    except (OSError, KeyError):
        return {}


def read_geometry(path: Path) -> PatchGeometry:
    """How the patches of a file that we wrote were cut."""
    with h5py.File(path, "r") as file:
        a = file["coords"].attrs
        return PatchGeometry(
            size_level0=_pair(a["patch_wh_level0"]),
            size_px=_pair(a["patch_wh"]),
            target_mpp=float(a["target_mpp"]),
            slide_wh=(int(a["level0_width"]), int(a["level0_height"])),
            slide_mpp=float(a["mpp"]),
            mpp_source=str(a["mpp_source"]),
        )


def _coords_attributes(name: str, geometry: PatchGeometry) -> dict[str, Any]:
    level = _clam_level(geometry)
    downsample = geometry.level_downsamples[level or 0]
    level_wh = np.array([round(side / downsample) for side in geometry.slide_wh])
    return {
        "patch_size": geometry.size_px[0],
        "patch_level": level or 0,
        "patch_size_level0": geometry.size_level0[0],
        "level0_magnification": _MICRONS_PER_PIXEL_AT_1X / geometry.slide_mpp,
        "target_magnification": _MICRONS_PER_PIXEL_AT_1X / geometry.target_mpp,
        "overlap": 0,
        "level0_width": geometry.slide_wh[0],
        "level0_height": geometry.slide_wh[1],
        "downsample": np.array([downsample, downsample]),
        "level_dim": level_wh,
        "downsampled_level_dim": level_wh,
        "name": name,
        "savetodir": ".",
        "save_path": ".",
        "clam_reads_these_pixels": level is not None,
        "patch_wh": np.array(geometry.size_px),
        "patch_wh_level0": np.array(geometry.size_level0),
        "target_mpp": geometry.target_mpp,
        "mpp": geometry.slide_mpp,
        "mpp_source": geometry.mpp_source,
    }


def _clam_level(geometry: PatchGeometry) -> int | None:
    """The level at which `size_px` pixels are exactly one patch, so that CLAM reads it without resizing."""
    if geometry.size_px[0] != geometry.size_px[1]:
        return None
    extents = [round(geometry.size_px[0] * downsample) for downsample in geometry.level_downsamples]
    return extents.index(geometry.size_level0[0]) if geometry.size_level0[0] in extents else None


def _read(file: h5py.File, path: Path, slide_id: str, mpp: float | None) -> SlideFeatures:
    values, coords = _arrays(file, path, slide_id)
    attributes = ChainMap(file["coords"].attrs, file.attrs)  # reads only what is asked for
    mpp = float(attributes["mpp"]) if "mpp" in attributes else mpp
    if attributes.get("unit") == "um":
        coords = _microns_to_pixels(coords, mpp, path, slide_id)
    coords = np.rint(coords).astype(np.int64)
    return SlideFeatures(
        slide_id, coords, values, _patch_size(attributes, coords, mpp), mpp, _colours(file, len(coords))
    )


def _arrays(file: h5py.File, path: Path, slide_id: str) -> tuple[np.ndarray, np.ndarray]:
    key = next((k for k in ("features", "feats") if k in file), None)
    if key is None or "coords" not in file:
        raise FeatureFileError(f"{slide_id}: {path} holds {sorted(file)}, expected features (or feats) and coords")
    values, coords = np.squeeze(file[key][()], axis=_unit_axes(file[key])), file["coords"][()]
    if values.ndim != 2 or coords.shape != (len(values), 2):
        raise FeatureFileError(
            f"{slide_id}: {path} has features {file[key].shape} and coords {coords.shape}, expected (N, D) and (N, 2)"
        )
    if not all_finite(values):
        raise FeatureFileError(f"{slide_id}: {path} has NaN or infinite features; extract the slide again")
    return values.astype(np.float32, copy=False), coords


def _colours(file: h5py.File, n_patches: int) -> PatchColours | None:
    """Ours, or None; what another tool may call `colours` is left alone."""
    is_ours = "colours" in file and file["colours"].shape == (n_patches, 4, 256) and file["colours"].dtype == np.uint16
    return np.asarray(file["colours"][()]) if is_ours else None


def _unit_axes(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Some writers keep a leading batch axis of one."""
    return (0,) if dataset.ndim == 3 and dataset.shape[0] == 1 else ()


def _microns_to_pixels(coords: np.ndarray, mpp: float | None, path: Path, slide_id: str) -> np.ndarray:
    if mpp is None:
        raise FeatureFileError(f"{slide_id}: {path} has coordinates in microns; set the cohort table's column mpp")
    return np.asarray(coords / mpp)


def _patch_size(attributes: Mapping[str, Any], coords: np.ndarray, mpp: float | None) -> tuple[int, int]:
    if "patch_wh_level0" in attributes:
        return _pair(attributes["patch_wh_level0"])
    if "patch_size_level0" in attributes:
        return (int(attributes["patch_size_level0"]),) * 2
    if "tile_size_um" in attributes and mpp is not None:
        return (round(float(attributes["tile_size_um"]) / mpp),) * 2
    return (_grid_step(coords),) * 2


def _grid_step(coords: np.ndarray) -> int:
    """CLAM's feature files do not state the patch size; on its grid it is the smallest step between coordinates."""
    steps = [np.diff(np.unique(axis)) for axis in coords.T]
    positive = [int(step.min()) for step in steps if len(step)]
    return min(positive, default=0)


def _pair(value: Any) -> tuple[int, int]:
    return int(value[0]), int(value[1])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
