"""Tiny sections for tests, in the layouts of her2st and Space Ranger."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import PIL.Image
from scipy.sparse import csc_array

GENES = [f"G{gene}" for gene in range(30)]
SIDE = 6


def write_her2st(folder: Path, pitch_px: float = 100.0, seed: int = 0) -> np.ndarray:
    """36 spots; those on the left half look dark and have ten times as much of G0. Returns their counts."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    steps = [(x, y) for x in range(1, SIDE + 1) for y in range(1, SIDE + 1)]
    counts = rng.poisson(4, (len(steps), len(GENES)))
    counts[[x <= SIDE // 2 for x, _ in steps], 0] *= 10
    image = rng.integers(200, 240, ((SIDE + 2) * 100, (SIDE + 2) * 100, 3), dtype=np.uint8)
    image[:, : int((SIDE / 2 + 0.5) * pitch_px)] //= 3
    PIL.Image.fromarray(image).save(folder / "he.jpg")
    rows = [f"{x}x{y}\t" + "\t".join(map(str, row)) for (x, y), row in zip(steps, counts, strict=True)]
    with gzip.open(folder / "counts.tsv.gz", "wt") as file:
        file.write("\t" + "\t".join(GENES) + "\n" + "\n".join(rows) + "\n")
    places = [(x, y, x, y, x * pitch_px, y * pitch_px, int((x, y) != (1, 1))) for x, y in steps]
    columns = ["x", "y", "new_x", "new_y", "pixel_x", "pixel_y", "selected"]
    # One spot has a place but no counts.
    table = pd.DataFrame([*places, (50, 50, 50, 50, 50 * pitch_px, 50 * pitch_px, 1)], columns=columns)
    table.to_csv(folder / "spots.tsv", sep="\t", index=False)
    return counts


def write_space_ranger(folder: Path, column_px: float = 100.0, is_version_2: bool = False) -> np.ndarray:
    """Four rows of five spots under tissue and one beside it; G1 is there twice. Returns the counts, spot by gene."""
    (folder / "spatial").mkdir(parents=True)
    places = [(row, 2 * column + row % 2) for row in range(4) for column in range(5)]
    barcodes = [f"B{spot:02d}-1" for spot in range(len(places))]
    genes = [*GENES, "G1"]
    counts = np.random.default_rng(1).poisson(1.0, (len(places), len(genes)))
    sparse = csc_array(counts.T)
    with h5py.File(folder / "filtered_feature_bc_matrix.h5", "w") as file:
        for name in ("data", "indices", "indptr"):
            file[f"matrix/{name}"] = getattr(sparse, name)
        file["matrix/shape"] = np.array(sparse.shape)
        file["matrix/barcodes"] = np.array(barcodes, "S")
        file["matrix/features/name"] = np.array(genes, "S")
    records = [
        (b, 1, r, c, r * column_px * np.sqrt(3), c * column_px) for b, (r, c) in zip(barcodes, places, strict=True)
    ]
    records.append(("OUT-1", 0, 9, 9, 0.0, 0.0))
    columns = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]
    name = "tissue_positions.csv" if is_version_2 else "tissue_positions_list.csv"
    pd.DataFrame(records, columns=columns).to_csv(folder / "spatial" / name, index=False, header=is_version_2)
    scales = {"tissue_hires_scalef": 0.5, "tissue_lowres_scalef": 0.1}
    (folder / "spatial" / "scalefactors_json.json").write_text(json.dumps(scales))
    pixels = np.random.default_rng(2).integers(0, 255, (500, 600, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "spatial" / "tissue_hires_image.png")
    return counts
