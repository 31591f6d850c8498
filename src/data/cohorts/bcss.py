"""BCSS: crops of breast cancer regions, labelled with the tissue that covers most of them.

Layout: github.com/PathologyDataScience/BCSS, the download at 0.25 um per pixel: `rgbs_colorNormalized/<region>.png` (or
`images/`, as its script writes), `masks/<region>.png` and `meta/gtruth_codes.tsv`. Label rule: HERE (data2intelligence/
HERE_training at 7517fb8, create_patch_label_file.py), which reads crops from files that are not published; their names
state crop size, side, share and least number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import PIL.Image
from jaxtyping import UInt8

from src.data.cohort import Cohort
from src.data.cohorts.cut_images import cut_once, write_image
from src.data.cohorts.published_counts import refuse_other_count
from src.data.files import sha256_of, slide_digest
from src.data.progress import tracked
from src.errors import CohortError
from src.interfaces import Image

NOTE = "BCSS (Amgad et al. 2019, Bioinformatics 35:3461); CC0 1.0"
N_REGIONS = 151
REGION_MPP = 0.25
OUTSIDE = 0
"""Code of pixels that nobody labelled."""

_IMAGE_FOLDERS = ("rgbs_colorNormalized", "images")
_PATIENT_LETTERS = 12  # TCGA-A1-A0SK
_VERSION = 1


@dataclass(frozen=True)
class Cropping:
    """How regions become images.

    Attributes:
        crop_px: side of a crop, region pixels; crops do not overlap and begin in the region's corner.
        image_px: side of the image that it is scaled to.
        min_share: a crop is labelled when more than this share of its pixels is of one class.
        min_crops: a class counts when it has more crops than this.
    """

    crop_px: int
    image_px: int
    min_share: float
    min_crops: int

    def __post_init__(self) -> None:
        if min(self.crop_px, self.image_px) < 1 or not 0 <= self.min_share < 1:
            raise CohortError(f"bcss: {self}; expected sides of at least 1 px and a share from 0 to less than 1")


class _Crop(NamedTuple):
    region: str
    x: int
    y: int
    code: int


def bcss_cohort(
    root: str | Path,
    images_dir: str | Path,
    crop_px: int = 512,
    image_px: int = 256,
    min_share: float = 0.8,
    min_crops: int = 50,
    label: str | None = "region",
    is_complete: bool = True,
) -> Cohort:
    """Crops of the regions, written once as PNGs to `images_dir`.

    Data sheet: 151 H&E regions of as many breast cancers of TCGA at 0.25 um per pixel (40x), colours normalised, each
    pixel of one of 21 classes (tumor, stroma, lymphocytic_infiltrate, necrosis_or_debris, ...) or outside. HERE's four
    sets are crops of 512 or 256 px scaled to 256 px with a share of more than 0.8 or 0.5. The patient is the TCGA
    participant; HERE leaves out only the query itself, so crops of one region find each other. CC0 1.0. Cite Amgad et
    al., Bioinformatics 2019.
    Differs from HERE, as far as its files let one know: crops that stick out of a region are left out, crops whose
    largest part is outside carry no label, crops are shrunk by area and kept as PNG under names that no two share.

    Args:
        root: folder with the regions, the masks and meta/.
        images_dir: where the crops are written on first use.
        crop_px: side of a crop, region pixels; 512 or 256 in HERE.
        image_px: side of the image that it is scaled to.
        min_share: share of one class that a crop must exceed; 0.8 or 0.5 in HERE.
        min_crops: number of crops that a class must exceed.
        label: label column that is used where none is asked for; `region`.
        is_complete: refuse another number of regions than is published.

    Raises:
        CohortError: files are missing or do not fit, or no crop gets a label.
    """
    folder, cropping = Path(root).expanduser().absolute(), Cropping(crop_px, image_px, min_share, min_crops)
    images, masks = _pairs(folder)
    if is_complete:
        refuse_other_count("bcss", "regions", len(images), N_REGIONS)
    files = {path.name: [slide_digest(path), slide_digest(masks[name])] for name, path in images.items()}
    codes = folder / "meta" / "gtruth_codes.tsv"
    class_names = _class_names(codes)
    made_of = {"version": _VERSION, **asdict(cropping), "codes": sha256_of(codes), "regions": files}
    rows = cut_once(Path(images_dir), made_of, lambda partial: _cut(partial, images, masks, class_names, cropping))
    patients = [slide_id[:_PATIENT_LETTERS] for slide_id in rows["slide_id"]]
    table = rows.assign(patient_id=patients, mpp=REGION_MPP * crop_px / image_px)
    return Cohort("bcss", "regions", table, Path(images_dir).expanduser().absolute(), label, note=NOTE)


def _pairs(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and masks by the name of their region, in alphabetical order."""
    image_folder = next((folder / name for name in _IMAGE_FOLDERS if (folder / name).is_dir()), folder)
    images, masks = ({path.stem: path for path in sorted(f.glob("*.png"))} for f in (image_folder, folder / "masks"))
    if not images or images.keys() != masks.keys():
        raise CohortError(
            f"{folder}: {len(images)} images in {' or '.join(_IMAGE_FOLDERS)} and {len(masks)} masks in masks; "
            "expected one mask of the same name for each image; set data.root to the folder that holds both"
        )
    return images, masks


def _class_names(file: Path) -> dict[int, str]:
    try:
        table = pd.read_csv(file, sep="\t")
        return {int(code): str(name) for name, code in zip(table["label"], table["GT_code"], strict=True)}
    except (OSError, ValueError, KeyError) as error:
        raise CohortError(f"{file}: no table with columns label and GT_code ({error}); get it again") from error


def _cut(
    folder: Path, images: dict[str, Path], masks: dict[str, Path], class_names: dict[int, str], cropping: Cropping
) -> pd.DataFrame:
    found = [crop for name, path in masks.items() for crop in _labelled(name, _mask(path), cropping)]
    sizes = Counter(crop.code for crop in found)
    kept = [crop for crop in found if sizes[crop.code] > cropping.min_crops and crop.code in class_names]
    if not kept:
        raise CohortError(f"bcss: none of {len(found)} crops is of a class with more than {cropping.min_crops} of them")
    for region in tracked(sorted({crop.region for crop in kept}), "crops of BCSS"):
        pixels = _pixels(images[region])
        for crop in (crop for crop in kept if crop.region == region):
            write_image(folder, _slide_id(crop), _image(pixels, crop, cropping))
    return pd.DataFrame([{"slide_id": _slide_id(crop), "region": class_names[crop.code]} for crop in kept])


def _labelled(region: str, mask: UInt8[np.ndarray, "height width"], cropping: Cropping) -> list[_Crop]:
    """The crops of a region that one class fills, row by row."""
    side, found = cropping.crop_px, []
    for y in range(0, mask.shape[0] - side + 1, side):
        for x in range(0, mask.shape[1] - side + 1, side):
            counts = np.bincount(mask[y : y + side, x : x + side].ravel())
            code = int(counts.argmax())
            if code != OUTSIDE and counts[code] > cropping.min_share * side**2:
                found.append(_Crop(region, x, y, code))
    return found


def _mask(path: Path) -> UInt8[np.ndarray, "height width"]:
    with PIL.Image.open(path) as image:
        mask = np.asarray(image)  # codes, whether grey values or places in a palette
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise CohortError(f"{path}: a mask of one channel and 8 bits is expected; get it again")
    return mask


def _pixels(path: Path) -> Image:
    with PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _image(pixels: Image, crop: _Crop, cropping: Cropping) -> Image:
    part = pixels[crop.y : crop.y + cropping.crop_px, crop.x : crop.x + cropping.crop_px]
    if part.shape[:2] != (cropping.crop_px,) * 2:
        raise CohortError(f"bcss: the image of {crop.region} is smaller than its mask; get both again")
    scaled: np.ndarray = cv2.resize(part, (cropping.image_px,) * 2, interpolation=cv2.INTER_AREA)
    return scaled


def _slide_id(crop: _Crop) -> str:
    return f"{crop.region}_x{crop.x}_y{crop.y}"
