"""A cohort from folders: one sub-folder per class, whose name is the label `class`."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from src.data.cohort import Cohort
from src.errors import CohortError
from src.interfaces import CohortKind

IMAGE_SUFFIXES = (
    *(".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".dcm"),
    *(".png", ".jpg", ".jpeg"),
)


def folder_cohort(
    root: str | Path,
    kind: CohortKind = "slides",
    label: str | None = "class",
    name: str | None = None,
    mpp: float | None = None,
    default_mpp: float | None = None,
) -> Cohort:
    """A cohort of the images in `root/<class>/`, each taken for a patient of its own.

    Where patients have several slides, list them in a table with patient_id instead: otherwise the slides of one
    patient find each other.

    Args:
        root: folder with one sub-folder per class; hidden files and other file types are left out.
        kind: `slides` or `regions`.
        label: label column that is used where none is asked for; there is only `class`.
        name: what the cohort is called; by default the folder's name.
        mpp: microns per pixel of every image, or None when the files say it.
        default_mpp: microns per pixel of files that do not say it.

    Raises:
        CohortError: there is no image, or two images have the same name.
    """
    folder = Path(root).expanduser().absolute()
    images = _images(folder)
    if not images:
        raise CohortError(
            f"{folder}: no image in its sub-folders; expected CLASS/NAME.SUFFIX with {', '.join(IMAGE_SUFFIXES)}"
        )
    table = pd.DataFrame(
        {
            "slide_id": [image.stem for image in images],
            "path": [str(image) for image in images],
            "patient_id": [image.stem for image in images],
            "mpp": math.nan if mpp is None else mpp,
            "class": [image.parent.name for image in images],
        }
    )
    return Cohort(name or folder.name, kind, table, folder, label, default_mpp)


def _images(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("*/*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))
