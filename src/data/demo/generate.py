"""The demo cohort as a folder: slides, cohort.csv, omics.csv, README.txt, and demo.json that names what made them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import pandas as pd

from src.data.demo.omics import draw_omics
from src.data.demo.patients import DemoPatient, draw_patients
from src.data.demo.slide import DemoSlide, write_demo_slide
from src.data.files import write_json, write_text
from src.data.whole_folder import folder_lock, folder_written_whole
from src.errors import CohortError

VERSION = 1
_SCANS = {"A": 0.25, "B": 0.5}  # suffix of the slide_id, um per pixel
_RECIPE_FILE = "demo.json"


@dataclass(frozen=True)
class Recipe:
    """What the files of a demo cohort depend on, and nothing else.

    Attributes:
        width_um, height_um: size of every slide.
    """

    seed: int
    n_patients: int
    width_um: float
    height_um: float
    version: int = VERSION


def make_demo(root: Path, recipe: Recipe, n_workers: int) -> None:
    """Write the demo cohort to `root` in one step; a demo cohort of another recipe is replaced.

    Everything goes to a folder beside `root` that is renamed at the end. A second process waits for the first.

    Raises:
        CohortError: `root` holds something else than a demo cohort.
    """
    with folder_lock(root):
        if is_made(root, recipe):
            return
        _refuse_foreign_folder(root)
        with folder_written_whole(root) as partial:
            _write_folder(partial, recipe, n_workers)


def is_made(root: Path, recipe: Recipe) -> bool:
    """Whether `root` holds the demo cohort of this recipe."""
    file = root / _RECIPE_FILE
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")) == asdict(recipe)


def _refuse_foreign_folder(root: Path) -> None:
    if root.exists() and not (root / _RECIPE_FILE).is_file() and any(root.iterdir()):
        raise CohortError(f"{root}: holds files, but no demo cohort; set data.root to a folder that may be overwritten")


def _write_folder(folder: Path, recipe: Recipe, n_workers: int) -> None:
    patients = draw_patients(recipe.seed, recipe.n_patients)
    slides = [slide for number, patient in enumerate(patients) for slide in _slides(patient, number, recipe)]
    with ThreadPoolExecutor(n_workers) as pool:  # NumPy, OpenCV and the encoder leave Python free while they work
        list(pool.map(lambda slide: write_demo_slide(slide, folder / _path(slide)), slides))
    write_text(folder / "cohort.csv", _cohort_table(slides).to_csv(index=False, lineterminator="\n"))
    write_text(folder / "omics.csv", draw_omics(patients, recipe.seed).to_csv(index=False, lineterminator="\n"))
    write_text(folder / "README.txt", resources.files(__package__).joinpath("README.txt").read_text(encoding="utf-8"))
    write_json(folder / _RECIPE_FILE, asdict(recipe))


def _slides(patient: DemoPatient, number: int, recipe: Recipe) -> list[DemoSlide]:
    return [
        DemoSlide(
            slide_id=f"{patient.patient_id}-{suffix}",
            patient=patient,
            mpp=mpp,
            width_um=recipe.width_um,
            height_um=recipe.height_um,
            seed=(recipe.seed, 2, number, scan),
        )
        for scan, (suffix, mpp) in enumerate(_SCANS.items())
    ]


def _path(slide: DemoSlide) -> str:
    return f"slides/{slide.slide_id}.tif"


def _cohort_table(slides: list[DemoSlide]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "slide_id": [slide.slide_id for slide in slides],
            "path": [_path(slide) for slide in slides],
            "patient_id": [slide.patient.patient_id for slide in slides],
            "tissue": [slide.patient.tissue for slide in slides],
            "grade": [slide.patient.grade for slide in slides],
            "magnification": [f"{round(10 / slide.mpp)}x" for slide in slides],
        }
    )
