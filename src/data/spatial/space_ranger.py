"""A Visium section in the folder layout of 10x Space Ranger, versions 1 and 2.

Files: filtered_feature_bc_matrix.h5 (genes by barcodes, compressed by column), spatial/tissue_positions_list.csv or
tissue_positions.csv, spatial/scalefactors_json.json. Places are pixels of the full-resolution image, which is not part
of the folder; on `tissue_hires_image.png` and `tissue_lowres_image.png` they are scaled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from scipy.sparse import csc_array, csr_array

from src.data.spatial.section import Section, sum_genes_of_one_name
from src.errors import CohortError

_COLUMNS = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row", "pxl_col"]
_STEP_UM = 50.0  # spots of a row are 100 um apart, which is two columns of the array
_SPOT_UM = 55.0
_SCALES = {"tissue_hires_image.png": "tissue_hires_scalef", "tissue_lowres_image.png": "tissue_lowres_scalef"}


def read_space_ranger(folder: Path, image: Path | None = None) -> Section:
    """The barcodes under tissue that have counts.

    Args:
        folder: with the files above.
        image: what the spots lie on, of full resolution or one of the two scaled images; by default the hires one.

    Raises:
        CohortError: a file is missing or not of this layout, or no barcode has both counts and a place.
    """
    image = image or folder / "spatial" / "tissue_hires_image.png"
    barcodes, genes, counts = _counts(folder / "filtered_feature_bc_matrix.h5")
    places = _places(folder / "spatial")
    places = places[(places["in_tissue"] == 1) & places.index.isin(barcodes)]
    row_of = {barcode: row for row, barcode in enumerate(barcodes)}
    scale = _scale(folder / "spatial" / "scalefactors_json.json", image)
    array_mpp = _STEP_UM / (_pixels_per_column(places) * scale) if len(places) else 1.0
    names, summed = sum_genes_of_one_name(genes, counts[[row_of[barcode] for barcode in places.index]])
    return Section(
        name=folder.name,
        image=image,
        spots=tuple(places.index),
        centres=places[["pxl_col", "pxl_row"]].to_numpy(np.float64) * scale,
        spot_diameter_px=_SPOT_UM / array_mpp,
        array_mpp=array_mpp,
        genes=names,
        counts=summed,
    )


def _counts(file: Path) -> tuple[list[str], list[str], csr_array]:
    """Barcodes, genes, and the counts, barcode by gene."""
    try:
        with h5py.File(file, "r") as matrix:
            parts = {name: matrix[f"matrix/{name}"][()] for name in ("data", "indices", "indptr", "shape", "barcodes")}
            genes = matrix["matrix/features/name"][()]
    except (OSError, KeyError) as error:
        raise CohortError(f"{file}: not a feature-barcode matrix of Space Ranger ({error})") from error
    gene_by_barcode = csc_array((parts["data"], parts["indices"], parts["indptr"]), tuple(parts["shape"]))
    return _texts(parts["barcodes"]), _texts(genes), csr_array(gene_by_barcode.T.astype(np.float64))


def _places(folder: Path) -> pd.DataFrame:
    for name, header in (("tissue_positions.csv", 0), ("tissue_positions_list.csv", None)):
        if (folder / name).exists():
            return pd.read_csv(folder / name, header=header, names=_COLUMNS).set_index("barcode")
    raise CohortError(
        f"{folder}: no tissue_positions.csv or tissue_positions_list.csv; give Space Ranger's outs folder"
    )


def _scale(file: Path, image: Path) -> float:
    """Pixels of the image per pixel of full resolution."""
    if image.name not in _SCALES:
        return 1.0
    try:
        return float(json.loads(file.read_text())[_SCALES[image.name]])
    except (OSError, ValueError, KeyError) as error:
        raise CohortError(
            f"{file}: no {_SCALES[image.name]} there ({error}); give Space Ranger's outs folder"
        ) from error


def _pixels_per_column(places: pd.DataFrame) -> float:
    # Both image axes, because a section may lie turned by a quarter on its array.
    slopes = [np.polyfit(places["array_col"], places[axis], 1)[0] for axis in ("pxl_col", "pxl_row")]
    return float(np.hypot(*slopes))


def _texts(values: Any) -> list[str]:
    return [value.decode() for value in values]
