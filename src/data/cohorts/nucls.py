"""NuCLS: fields of view of breast cancer, labelled with the class of most of their nuclei.

Layout: sites.google.com/view/nucls/data-format, the corrected single-rater data set (folder `QC`): `rgb/<fov>.png`,
`csv/<fov>.csv` with one line per nucleus, and `csv/ALL_FOV_LOCATIONS.csv`. Label rule: HERE (data2intelligence/
HERE_training at 7517fb8, create_patch_label_file.py), the most frequent `main_classification`.
"""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from src.data.cohort import Cohort
from src.data.progress import tracked
from src.errors import CohortError

NOTE = "NuCLS, corrected single-rater (Amgad et al. 2022, GigaScience 11:giac037); CC0 1.0"
MPP = 0.2
_CLASS = "main_classification"
_NOT_A_FIELD = "ALL_FOV_LOCATIONS"
_PATIENT_LETTERS = 12  # TCGA-A1-A0SP


def nucls_cohort(root: str | Path, label: str | None = "nuclei") -> Cohort:
    """The fields of view of a folder with `csv/` and `rgb/`.

    Data sheet: H&E fields of about 300 x 280 px at 0.2 um per pixel, breast cancer of TCGA, whose nuclei one rater
    marked and pathologists corrected. Classes of nuclei: tumor_nonMitotic, tumor_mitotic, nonTILnonMQ_stromal,
    macrophage, lymphocyte, plasma_cell, other_nucleus, AMBIGUOUS; a field without a nucleus has no label. The patient
    is the TCGA participant; HERE leaves out only the query itself, so fields of one slide find each other. CC0 1.0.
    Cite Amgad et al., GigaScience 2022. How many fields were published is not checked.
    Differs from HERE: images are the published PNGs, not JPEGs made of them; of equally frequent classes the one that
    is met first in the file is taken, theirs depends on the order that an unstable sort leaves.

    Args:
        root: folder `QC` of the download.
        label: label column that is used where none is asked for; `nuclei`.

    Raises:
        CohortError: there is no field of view, or a table lacks its column.
    """
    folder = Path(root).expanduser().absolute()
    tables = sorted(path for path in (folder / "csv").glob("*.csv") if path.stem != _NOT_A_FIELD)
    if not tables:
        raise CohortError(f"{folder / 'csv'}: no table of a field; data.root needs the folder with csv/ and rgb/")
    fields = [path.stem for path in tables]
    table = pd.DataFrame(
        {
            "slide_id": fields,
            "path": [str(folder / "rgb" / f"{field}.png") for field in fields],
            "patient_id": [field[:_PATIENT_LETTERS] for field in fields],
            "mpp": MPP,
            "nuclei": [_most_frequent(path) for path in tracked(tables, "nuclei of NuCLS")],
        }
    )
    return Cohort("nucls", "regions", table, folder, label, note=NOTE)


def _most_frequent(path: Path) -> str | float:
    """The class of most nuclei, the first met of equals; NaN where there is none."""
    try:
        classes = pd.read_csv(path, usecols=[_CLASS], dtype=str)[_CLASS]
    except ValueError as error:
        raise CohortError(f"{path}: no table with column {_CLASS} ({str(error).splitlines()[0]})") from error
    counts = classes.value_counts(sort=False)
    return str(counts.idxmax()) if len(counts) else math.nan
