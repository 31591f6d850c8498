"""Kather100K: patches of colorectal cancer and normal mucosa in nine tissue classes, as published or a part of it.

Layout: zenodo.org/records/1214456, NCT-CRC-HE-100K-NONORM.zip: `<CLASS>/<CLASS>-<LETTERS>.tif`. Queries: HERE
(data2intelligence/HERE_training at 7517fb8, extract_features_patch_retrieval_eval.py) asks a list of 100 random images
per class and searches all of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from src.data.cohort import SPLIT_COLUMN, Cohort
from src.data.cohorts.published_counts import refuse_other_count
from src.errors import CohortError

NOTE = "NCT-CRC-HE-100K-NONORM (Kather et al. 2019, PLOS Medicine 16:e1002730; zenodo 1214456); CC BY 4.0"
CLASSES = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
N_IMAGES = 100_000
MPP = 0.5


def kather100k_cohort(
    root: str | Path,
    queries_per_class: int = 100,
    seed: int = 0,
    label: str | None = "tissue",
    is_complete: bool = True,
) -> Cohort:
    """The images of a folder with one sub-folder of TIFFs per class.

    Data sheet: 100,000 H&E patches of 224 x 224 px at 0.5 um per pixel (20x) from 86 slides of colorectal cancer and
    normal tissue, not overlapping, colours not normalised. Classes: adipose (ADI), background (BACK), debris (DEB),
    lymphocytes (LYM), mucus (MUC), smooth muscle (MUS), normal mucosa (NORM), stroma (STR), tumour epithelium (TUM).
    Column `split` is `query` for a seeded draw of images per class and `database` for the others; HERE searches both.
    Slides and patients of the patches are not published, so each patch stands for a patient of its own: patches of one
    slide find each other. CC BY 4.0. Cite Kather et al., PLOS Medicine 2019.
    Differs from HERE: its list of 900 queries is not published, so another one is drawn.

    Args:
        root: folder with the nine sub-folders.
        queries_per_class: images of each class that are asked.
        seed: of that draw.
        label: label column that is used where none is asked for; `tissue`.
        is_complete: refuse another number of images than is published.

    Raises:
        CohortError: a class is missing, or the number of images is another one.
    """
    folder = Path(root).expanduser().absolute()
    images = {name: _images(folder / name) for name in CLASSES}
    paths = [path for of_class in images.values() for path in of_class]
    if is_complete:
        refuse_other_count("kather100k", "images", len(paths), N_IMAGES)
    rng = np.random.default_rng(seed)
    queries = {path for of_class in images.values() for path in _drawn(of_class, queries_per_class, rng)}
    table = pd.DataFrame(
        {
            "slide_id": [path.stem for path in paths],
            "path": [str(path) for path in paths],
            "patient_id": [path.stem for path in paths],
            "mpp": MPP,
            "tissue": [path.parent.name for path in paths],
            SPLIT_COLUMN: ["query" if path in queries else "database" for path in paths],
        }
    )
    return Cohort("kather100k", "regions", table, folder, label, note=NOTE)


def _images(folder: Path) -> list[Path]:
    images = sorted(path for path in folder.glob("*.tif") if not path.name.startswith("."))
    if not images:
        raise CohortError(f"{folder}: no TIFF in it; data.root needs the folder that holds {', '.join(CLASSES)}")
    return images


def _drawn(images: list[Path], count: int, rng: np.random.Generator) -> list[Path]:
    return [images[place] for place in rng.permutation(len(images))[:count]]
