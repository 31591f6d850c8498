"""Kimia Path24C: patches of 24 whole slides, each a class of its own.

Layout: kimialab.uwaterloo.ca/kimia/index.php/data-and-code, Kimia_Path_24C: `train/s0` to `train/s23` and `test/s0` to
`test/s23`, with one JPEG, PNG or TIFF per patch.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import PIL.Image

from src.data.cohort import SPLIT_COLUMN, Cohort
from src.data.cohorts.published_counts import refuse_other_count
from src.errors import CohortError

NOTE = "Kimia Path24C (Babaie et al. 2017, CVPR Workshops; Shafiei et al. 2021, arXiv:2102.07611)"
SCANS = tuple(f"s{number}" for number in range(24))
N_PATCHES = {"train": 22_591, "test": 1_325}
SIDE_PX = 1000
MPP = 0.5

_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


def kimia_path24c_cohort(root: str | Path, label: str | None = "scan", is_complete: bool = True) -> Cohort:
    """The training and the test patches, scan by scan.

    Data sheet: 24 whole slides of different tissues at 20x, 22,591 training and 1,325 test patches of 1000 x 1000 px at
    0.5 um per pixel, in colour, which do not overlap. Label `scan` is the slide of a patch, s0 to s23; column `split`
    is `train` or `test`. A scan stands for its patient, so that whatever leaves the query's patient out finds nothing:
    test patches ask for training patches of their own scan (`eval=kimia`). Licence: on request, for research. Cite
    Babaie et al., CVPR Workshops 2017.

    Args:
        root: folder with train/ and test/.
        label: label column that is used where none is asked for; `scan`.
        is_complete: refuse other numbers of patches than are published, and test patches of other sides.

    Raises:
        CohortError: a scan is missing, or numbers or sides are others than published.
    """
    folder = Path(root).expanduser().absolute()
    rows = [(path, scan, part) for part in N_PATCHES for scan in SCANS for path in _patches(folder / part / scan)]
    table = pd.DataFrame(
        {
            "slide_id": [f"{part}_{scan}_{path.stem}" for path, scan, part in rows],
            "path": [str(path) for path, _, _ in rows],
            "patient_id": [scan for _, scan, _ in rows],
            "mpp": MPP,
            "scan": [scan for _, scan, _ in rows],
            SPLIT_COLUMN: [part for _, _, part in rows],
        }
    )
    if is_complete:
        _refuse_other_than_published(table)
    return Cohort("kimia_path24c", "regions", table, folder, label, note=NOTE)


def _patches(folder: Path) -> list[Path]:
    """In natural order, as `a2` before `a10`: one protocol asks the first patch of each scan."""
    found = [path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")]
    if not found:
        raise CohortError(f"{folder}: no patch in it; data.root needs the folder with train/ and test/, each s0 to s23")
    return sorted(found, key=lambda path: _natural(str(path)))


def _natural(text: str) -> list[tuple[int, str]]:
    """Digits as numbers.

    >>> sorted(["a10", "a2"], key=_natural)
    ['a2', 'a10']
    """
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def _refuse_other_than_published(table: pd.DataFrame) -> None:
    for part, published in N_PATCHES.items():
        refuse_other_count("kimia_path24c", f"{part} patches", int((table[SPLIT_COLUMN] == part).sum()), published)
    for path in table.loc[table[SPLIT_COLUMN] == "test", "path"]:
        with PIL.Image.open(path) as image:
            if image.size != (SIDE_PX, SIDE_PX):
                raise CohortError(
                    f"{path}: {image.size[0]} x {image.size[1]} px, test patches have {SIDE_PX} x {SIDE_PX}; get it "
                    "again, or set data.is_complete=false"
                )
