"""A section of the HER2-positive breast tumours of Andersson et al. (2021; almaan/her2st), 200 um arrays.

Files of a section, as `her2st/<section>/`: he.jpg, counts.tsv.gz (spots `<x>x<y>` by genes), spots.tsv (x, y, new_x,
new_y, pixel_x, pixel_y, selected).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from src.data.labels.tables import read_numbers, read_text_table
from src.data.spatial.section import Section, sum_genes_of_one_name
from src.errors import CohortError

_PITCH_UM = 200.0
_SPOT_UM = 100.0
_NUMBERS = ["new_x", "new_y", "pixel_x", "pixel_y", "selected"]


def read_her2st(folder: Path) -> Section:
    """The selected spots of a section that have counts.

    Raises:
        CohortError: a file is missing or no such table, or no spot has both counts and a place.
    """
    counts = read_numbers(folder / "counts.tsv.gz").fillna(0.0)
    places = _places(folder / "spots.tsv")
    places = places[(places["selected"] == 1) & places.index.isin(counts.index)]
    genes, summed = sum_genes_of_one_name(counts.columns.tolist(), csr_array(counts.loc[places.index].to_numpy()))
    array_mpp = _PITCH_UM / _pixels_per_step(places) if len(places) else 1.0
    return Section(
        name=folder.name,
        image=folder / "he.jpg",
        spots=tuple(places.index),
        centres=places[["pixel_x", "pixel_y"]].to_numpy(np.float64),
        spot_diameter_px=_SPOT_UM / array_mpp,
        array_mpp=array_mpp,
        genes=genes,
        counts=summed,
    )


def _places(file: Path) -> pd.DataFrame:
    """Numbers of each spot, by its name in the counts."""
    texts = read_text_table(file, ["x", "y", *_NUMBERS])
    names = pd.Index(texts["x"] + "x" + texts["y"])
    try:
        return texts[_NUMBERS].astype(np.float64).set_index(names)
    except ValueError as error:
        raise CohortError(f"{file}: {error}; expected numbers in {', '.join(_NUMBERS)}") from error


def _pixels_per_step(places: pd.DataFrame) -> float:
    slopes = [np.polyfit(places[f"new_{axis}"], places[f"pixel_{axis}"], 1)[0] for axis in "xy"]
    return float(np.mean(np.abs(slopes)))
