"""HERE101: fields of view that pathologists chose as queries, with six aspects of what they show.

Source: HERE (bioRxiv 2025.10.25.684566), data2intelligence/HERE101: png/, manifest.xlsx.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from src.data.cohort import Cohort
from src.errors import CohortError

NOTE = "HERE101 (bioRxiv 2025.10.25.684566, data2intelligence/HERE101); no licence stated"
MPP = 0.5  # 20x; the PNG files do not state it

ASPECTS: Mapping[str, str] = {
    "label": "label",
    "site": "site",
    "structure": "structure",
    "cell type": "cell_type",
    "cell shape": "cell_shape",
    "cytoplasm": "cytoplasm",
}
"""Columns of the manifest that are filled for every image, and the labels made of them."""

RAW_COLUMNS: Mapping[str, str] = {
    "diagnosis": "diagnosis",
    "cancer_type": "cancer_type",
    "cell_type": "cell_type_group",  # coarser than `cell type`, and empty for 20 of 51 images
    "scattered large cells": "scattered_large_cells",
    "key_point": "key_point",
}
"""The other columns, taken over as they are under names that do not collide."""

SPELLINGS: Mapping[str, Mapping[str, str]] = {
    "cell type": {
        "mesemnchymal": "mesenchymal",
        "mesemchymal": "mesenchymal",
        "mesenchymal, muscle": "mesenchymal",
        "mesenchymal,interstitial cell": "mesenchymal",
    },
    "cell shape": {
        "oval+spindal": "oval+spindle",
        "spindal": "spindle",
    },
}
"""What is written otherwise than it is meant, after case and spaces are made even. Composite values such as
`glandular,acinar`, `dichroic,keratin+melanin` or `oval+spindle` stay labels of their own."""


def here101_cohort(root: str | Path, label: str | None = "site") -> Cohort:
    """The HERE101 images of a folder with `manifest.xlsx` and `png/<query>.png`.

    Data sheet: 101 H&E images of 62 cases at 20x (0.5 um per pixel), 1020 x 768 or 510 x 384 px. The case is the text
    of `query` before its first `-`; images of one case are near neighbours, so the query's case must be left out. Six
    labels per image: label (tumor, normal, mixed), site, structure, cell_type, cell_shape, cytoplasm. In the half
    with 51 images of 30 cases, labels with at least two cases number 7 for site (27 images), 9 for structure (42)
    and 6 for cytoplasm (47). No licence is stated. Cite HERE, bioRxiv 2025.10.25.684566.

    Args:
        root: folder with manifest.xlsx and png/.
        label: label column that is used where none is asked for.

    Raises:
        CohortError: the manifest is missing, cannot be read or lacks a column.
    """
    folder = Path(root).expanduser().absolute()
    manifest = _read_manifest(folder / "manifest.xlsx")
    queries = manifest["query"]
    table = pd.DataFrame(
        {
            "slide_id": queries,
            "path": [str(folder / "png" / f"{query}.png") for query in queries],
            "patient_id": [query.split("-")[0] if isinstance(query, str) else query for query in queries],
            "mpp": MPP,
        }
    )
    for column, aspect in ASPECTS.items():
        table[aspect] = [_cleaned(cell, SPELLINGS.get(column, {})) for cell in manifest[column]]
    for column, raw in RAW_COLUMNS.items():
        table[raw] = manifest[column]
    return Cohort("here101", "regions", table, folder, label, note=NOTE)


def _read_manifest(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise CohortError(f"{file}: no such manifest; set data.root to the folder that holds manifest.xlsx and png/")
    try:
        manifest = pd.read_excel(file, dtype=object)
    except (OSError, ValueError, KeyError) as error:
        raise CohortError(f"{file}: not an Excel table ({str(error).splitlines()[0]})") from error
    missing = [column for column in ("query", *ASPECTS, *RAW_COLUMNS) if column not in manifest.columns]
    if missing:
        raise CohortError(f"{file}: column {missing[0]!r} is missing; it has {list(manifest.columns)}")
    manifest.index = pd.Index(manifest.index + 2, name="line")  # the header is line 1
    return manifest


def _cleaned(cell: Any, spellings: Mapping[str, str]) -> str | float:
    """Lower case, single spaces, known slips corrected; NaN for an empty cell."""
    if not isinstance(cell, str):
        return math.nan
    text = " ".join(cell.lower().split())
    return spellings.get(text, text) or math.nan
