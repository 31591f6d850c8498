"""CoNSeP: patches of colorectal adenocarcinoma, labelled with the nuclear type that covers most pixels."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from src.data.cohort import Cohort
from src.data.cohorts.table import read_table
from src.errors import CohortError

COLUMNS = ("patch", "source_image", "dominant_name")

NOTE = "CoNSeP (Graham et al. 2019, Medical Image Analysis 58:101563); non-commercial use only"


def consep_cohort(root: str | Path, label: str | None = "dominant_name") -> Cohort:
    """The CoNSeP patches of a folder with `labels.csv` and `images/<patch>.jpg`.

    Data sheet: the training half is 432 patches of 256 x 256 px at 40x (0.25 um per pixel), 16 overlapping ones from
    each of 27 source images. Dominant type: miscellaneous, inflammatory, epithelial (healthy and malignant) or spindle
    (fibroblast, muscle, endothelial); 21 patches without a nucleus have none. Patients are not published, so the
    source image stands for the patient: it must be left out, as its patches overlap. Non-commercial use only. Cite
    Graham et al., HoVer-Net, Medical Image Analysis 2019.

    Args:
        root: folder with labels.csv and images/.
        label: label column that is used where none is asked for; every column of labels.csv can be one.

    Raises:
        CohortError: labels.csv is missing or lacks a column.
    """
    folder = Path(root).expanduser().absolute()
    rows = read_table(folder / "labels.csv")
    missing = [column for column in COLUMNS if column not in rows.columns]
    if missing:
        raise CohortError(f"{folder / 'labels.csv'}: column {missing[0]} is missing; it has {list(rows.columns)}")
    table = pd.DataFrame(
        {
            "slide_id": rows["patch"],
            "path": [str(folder / "images" / f"{patch}.jpg") for patch in rows["patch"]],
            "patient_id": rows["source_image"],
            "mpp": 0.25,
        }
    )
    labels = rows.drop(columns="patch").replace({"dominant_name": {"none": math.nan}})
    return Cohort("consep", "regions", table.join(labels), folder, label, note=NOTE)
