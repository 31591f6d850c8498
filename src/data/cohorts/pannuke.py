"""PanNuke: patches of 19 tissues, labelled with the type of most of their nuclei.

Layout: warwick.ac.uk/fac/cross_fac/tia/data/pannuke, one zip per fold: `images/fold1/images.npy` (patch, 256, 256, 3),
`images/fold1/types.npy`, `masks/fold1/masks.npy` (patch, 256, 256, 6), a channel per type holding the numbers of its
nuclei. Label rule: HERE (data2intelligence/HERE_training at 7517fb8, create_patch_label_file.py), on fold 1.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int64, Shaped

from src.data.cohort import Cohort
from src.data.cohorts.cut_images import cut_once, write_image
from src.data.cohorts.published_counts import refuse_other_count
from src.data.files import slide_digest
from src.data.progress import tracked
from src.errors import CohortError

NOTE = "PanNuke (Gamper et al. 2019, ECDP; 2020, arXiv:2003.10778); CC BY-NC-SA 4.0"
TYPES = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
"""The channels of a mask but the last, which is background."""

N_PATCHES = {1: 2656, 2: 2523, 3: 2722}
MPP = 0.25
_VERSION = 1


class _Fold(NamedTuple):
    """The arrays of a fold, mapped, not read."""

    images: Any
    masks: Any
    tissues: Any


def pannuke_cohort(
    root: str | Path,
    images_dir: str | Path,
    fold: int = 1,
    label: str | None = "nuclei",
    is_complete: bool = True,
) -> Cohort:
    """The patches of one fold, written once as PNGs to `images_dir`.

    Data sheet: H&E patches of 256 x 256 px at 0.25 um per pixel (40x), 2,656 in fold 1, 2,523 in fold 2 and 2,722 in
    fold 3, of 19 tissues (TCGA and other sources); about 190,000 nuclei. Label `nuclei` is the type of most nuclei:
    neoplastic, inflammatory, connective, dead or epithelial, the first of these where types are equally frequent; a
    patch without a nucleus has none. Label `tissue` is the organ. Slides and patients are not published: each patch
    stands for a patient of its own. Non-commercial use only (CC BY-NC-SA 4.0). Cite Gamper et al. 2019 and 2020.
    Differs from HERE: patches are kept as PNG, not JPEG.

    Args:
        root: a fold's folder, with images/ and masks/.
        images_dir: where the PNGs are written on first use; 0.3 GB per fold.
        fold: 1, 2 or 3; names the folders under images/ and masks/.
        label: label column that is used where none is asked for; `nuclei` or `tissue`.
        is_complete: refuse another number of patches than is published.

    Raises:
        CohortError: a file is missing or no such array, or the number of patches is another one.
    """
    folder = Path(root).expanduser().absolute()
    files = [folder / name for name in _files(fold)]
    arrays = _Fold(*map(_mapped, files))
    _check_shapes(folder, arrays)
    if is_complete:
        refuse_other_count("pannuke", f"patches of fold {fold}", len(arrays.images), N_PATCHES[fold])
    made_of = {"version": _VERSION, "fold": fold, **{file.name: slide_digest(file) for file in files}}
    rows = cut_once(Path(images_dir), made_of, lambda partial: _cut(partial, arrays, fold))
    table = rows.assign(patient_id=rows["slide_id"], mpp=MPP)
    return Cohort("pannuke", "regions", table, Path(images_dir).expanduser().absolute(), label, note=NOTE)


def count_nuclei(mask: Shaped[np.ndarray, "height width channel"]) -> Int64[np.ndarray, " type"]:
    """Nuclei of each of the five types; where nuclei overlap, the pixel is of the later type, as in HERE.

    >>> mask = np.zeros((1, 4, 6))
    >>> mask[0, :, 0], mask[0, 2:, 1] = [7, 7, 8, 8], [1, 2]
    >>> count_nuclei(mask).tolist()
    [1, 2, 0, 0, 0]
    """
    counts = np.zeros(len(TYPES), np.int64)
    is_free = np.ones(mask.shape[:2], bool)
    for place in reversed(range(len(TYPES))):
        numbers = mask[..., place]
        counts[place] = len(np.unique(numbers[is_free & (numbers > 0)]))
        is_free &= numbers == 0
    return counts


def _files(fold: int) -> tuple[str, ...]:
    if fold not in N_PATCHES:
        raise CohortError(f"pannuke: data.fold is {fold}; expected one of {list(N_PATCHES)}")
    return f"images/fold{fold}/images.npy", f"masks/fold{fold}/masks.npy", f"images/fold{fold}/types.npy"


def _mapped(file: Path) -> Any:
    if not file.is_file():
        raise CohortError(f"{file}: no such file; data.root needs the folder of one fold, with images/ and masks/")
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CohortError(f"{file}: not a plain array ({str(error).splitlines()[0]}); get it again") from error


def _check_shapes(folder: Path, arrays: _Fold) -> None:
    images, masks, tissues = (array.shape for array in arrays)
    if len(images) != 4 or images[3] != 3 or masks != (*images[:3], len(TYPES) + 1) or tissues != images[:1]:
        raise CohortError(f"{folder}: images {images}, masks {masks} and types {tissues} do not fit; get them again")


def _cut(folder: Path, arrays: _Fold, fold: int) -> pd.DataFrame:
    rows = []
    for place in tracked(range(len(arrays.images)), f"patches of PanNuke, fold {fold}"):
        slide_id = f"fold{fold}_{place:04d}"
        write_image(folder, slide_id, np.asarray(arrays.images[place]).astype(np.uint8))
        counts = count_nuclei(np.asarray(arrays.masks[place]))
        nuclei = TYPES[int(counts.argmax())] if counts.any() else math.nan
        rows.append({"slide_id": slide_id, "nuclei": nuclei, "tissue": str(arrays.tissues[place])})
    return pd.DataFrame(rows)
