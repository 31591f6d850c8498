"""Tiny folders in the layouts of the public patch data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from src.data.cohorts.kather100k import CLASSES
from src.data.cohorts.pannuke import TYPES

_NUCLS_HEADER = ",raw_classification,main_classification,super_classification,type,xmin,ymin,xmax,ymax\n"


def write_kather100k(folder: Path, n_per_class: int = 3) -> Path:
    """`<CLASS>/<CLASS>-<LETTERS>.tif`, 8 x 8 px."""
    for code, name in enumerate(CLASSES):
        for place in range(n_per_class):
            _write(folder / name / f"{name}-AAA{chr(65 + place)}.tif", np.full((8, 8, 3), 20 * code + place, np.uint8))
    return folder


def write_nucls(folder: Path, fields: dict[str, list[str]]) -> Path:
    """A field per name, with nuclei of the classes listed."""
    (folder / "csv").mkdir(parents=True)
    (folder / "csv" / "ALL_FOV_LOCATIONS.csv").write_text("fovname,xmin,ymin,xmax,ymax\n")
    for name, classes in fields.items():
        lines = [f"{row},raw,{nucleus},super,rectangle,1,1,3,3\n" for row, nucleus in enumerate(classes)]
        (folder / "csv" / f"{name}.csv").write_text(_NUCLS_HEADER + "".join(lines))
        _write(folder / "rgb" / f"{name}.png", np.full((9, 11, 3), 150, np.uint8))
    return folder


def write_pannuke(folder: Path, nuclei: list[dict[int, int]], side_px: int = 16, fold: int = 1) -> Path:
    """A patch per entry, which says how many nuclei of one row it has in each channel."""
    images = np.zeros((len(nuclei), side_px, side_px, 3))
    masks = np.zeros((len(nuclei), side_px, side_px, len(TYPES) + 1))
    for place, counts in enumerate(nuclei):
        images[place] = 10 * place + 1
        for channel, count in counts.items():
            masks[place, channel, :count, channel] = np.arange(1, count + 1)
    for name, array in (("images", images), ("masks", masks)):
        (folder / name / f"fold{fold}").mkdir(parents=True)
        np.save(folder / name / f"fold{fold}" / f"{name}.npy", array)
    np.save(folder / "images" / f"fold{fold}" / "types.npy", np.array(["Breast", "Colon"] * len(nuclei))[: len(nuclei)])
    return folder


def write_bcss(folder: Path, masks: dict[str, np.ndarray], image_folder: str = "rgbs_colorNormalized") -> Path:
    """A region per mask of codes; the red of its image is ten times the code."""
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "gtruth_codes.tsv").write_text("label\tGT_code\noutside_roi\t0\ntumor\t1\nstroma\t2\n")
    for name, mask in masks.items():
        red = mask[..., None] * np.array([10, 0, 0], np.uint8)
        _write(folder / image_folder / f"{name}.png", red.astype(np.uint8))
        _write(folder / "masks" / f"{name}.png", mask.astype(np.uint8))
    return folder


def write_kimia(folder: Path, n_train: int = 2, n_test: int = 2, side_px: int = 40) -> Path:
    """`train/s0` to `test/s23`, each scan with a colour of its own; names without leading zeros."""
    rng = np.random.default_rng(0)
    for part, n in (("train", n_train), ("test", n_test)):
        for scan in range(24):
            colour = np.array([10 * scan, 250 - 10 * scan, 80 + 100 * (scan % 2)])
            for place in range(n):
                noise = rng.integers(0, 6, (side_px, side_px, 3))
                _write(folder / part / f"s{scan}" / f"{place + 9}.jpg", (colour + noise).astype(np.uint8))
    return folder


def overrides(folder: Path) -> dict[str, list[str]]:
    """What each of the data configs needs to build its cohort, of tiny folders under `folder`."""
    kather, nucls = write_kather100k(folder / "kather"), write_nucls(folder / "nucls", {"TCGA-A1-A0SP-DX1_id-1": ["x"]})
    pannuke = write_pannuke(folder / "pannuke", [{0: 1}])
    bcss = write_bcss(folder / "bcss", {"TCGA-A1-A0SK-DX1": np.ones((8, 8), np.uint8)})
    kimia = write_kimia(folder / "kimia", 1, 1, 8)
    cut = [f"data.images_dir={folder / 'cut'}", "data.is_complete=false"]
    return {
        "kather100k": [f"data.root={kather}", "data.is_complete=false"],
        "nucls": [f"data.root={nucls}"],
        "kimia_path24c": [f"data.root={kimia}", "data.is_complete=false"],
        "pannuke": [f"data.root={pannuke}", *cut],
        "bcss": [f"data.root={bcss}", *cut, "data.crop_px=4", "data.image_px=4", "data.min_crops=0"],
    }


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
