"""The demo cohort: synthetic slides that are drawn on first use, so that every command runs without data."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from src.data.cohort import Cohort
from src.data.cohorts.table import read_table, table_cohort
from src.data.demo.generate import Recipe, is_made, make_demo
from src.errors import CohortError

log = logging.getLogger(__name__)

NOTE = "synthetic: drawn by histoseek, no real tissue"
_SMALLEST_SIDE_UM = 200.0


def demo_cohort(
    root: str | Path,
    seed: int = 0,
    n_patients: int = 12,
    width_um: float | int = 2048,
    height_um: float | int = 1536,
    label: str | None = "tissue",
    n_workers: int = 2,
) -> Cohort:
    """The demo cohort in `root`, drawn if it is missing or of another version, seed or size.

    Data sheet: synthetic H&E. 12 patients with two slides each, one at 0.25 and one at 0.5 um per pixel, 2.0 x 1.5 mm;
    tissue classes glandular, squamous, spindle and lymphoid, three patients each. Labels: tissue, grade (G1, G2, G3),
    magnification (20x, 40x) and the 66 targets of HERE; README.txt beside the slides says which of them the picture
    shows. About 120 patches of 256 px at 0.5 um per pixel and 2.4 MB per slide; 40 s to draw on two cores. Patch to
    patch of another patient, the nearest neighbour has the same tissue for 41 % by mean colour, for 69 % by colour and
    texture (chance 25 %). Free to use.

    Args:
        root: folder of the cohort.
        seed: the same seed gives the same files, byte for byte, whatever `n_workers`.
        n_patients: classes take turns, so fewer than four leave classes out.
        width_um: width of every slide.
        height_um: height of every slide.
        label: label column that is used where none is asked for.
        n_workers: threads that draw slides.

    Raises:
        CohortError: a value is out of range, or `root` holds something else.
    """
    if n_patients < 1 or n_workers < 1 or min(width_um, height_um) < _SMALLEST_SIDE_UM:
        raise CohortError(
            f"demo: n_patients={n_patients}, n_workers={n_workers}, {width_um} x {height_um} um; "
            f"expected at least 1, 1 and {_SMALLEST_SIDE_UM} um"
        )
    folder = Path(root).expanduser().absolute()
    recipe = Recipe(seed, n_patients, float(width_um), float(height_um))
    if not is_made(folder, recipe):
        log.info("drawing the demo cohort in %s: %d SYNTHETIC slides, no real tissue", folder, 2 * n_patients)
        make_demo(folder, recipe, n_workers)
    cohort = table_cohort(folder / "cohort.csv", label=label, name="demo")
    omics = read_table(folder / "omics.csv").set_index("patient_id")
    return replace(cohort, table=cohort.table.join(omics, on="patient_id"), note=NOTE)
