"""Who is in the demo cohort: a tissue class, four factors that shape the picture, and a stain of its own.

The factors and the stain are drawn without regard to the class, so that neither predicts it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TISSUES = ("glandular", "squamous", "spindle", "lymphoid")
FACTORS = ("pleomorphism", "proliferation", "infiltration", "fibrosis")

# Optical density of red, green and blue per unit of stain (Macenko et al. 2009, as in their reference matrix).
_HAEMATOXYLIN = np.array([0.563, 0.720, 0.406])
_EOSIN = np.array([0.216, 0.801, 0.558])


@dataclass(frozen=True)
class Stain:
    """How one laboratory stained one patient's slides.

    Attributes:
        haematoxylin, eosin: optical density of red, green and blue per unit of stain, strength included.
    """

    haematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]


@dataclass(frozen=True)
class DemoPatient:
    """One made-up patient; the four factors lie between 0 and 1.

    Attributes:
        pleomorphism: how large, dark and uneven nuclei are.
        proliferation: how densely cells lie, and how many divide.
        infiltration: how many lymphocytes lie in the stroma.
        fibrosis: how much collagen lies between the cells.
    """

    patient_id: str
    tissue: str
    pleomorphism: float
    proliferation: float
    infiltration: float
    fibrosis: float
    stain: Stain

    @property
    def grade(self) -> str:
        """G1, G2 or G3, of the two factors that make a tumour high-grade."""
        return ("G1", "G2", "G3")[int(min(2.0, 1.5 * (self.pleomorphism + self.proliferation)))]


def draw_patients(seed: int, n_patients: int) -> list[DemoPatient]:
    """Patients DEMO-01, DEMO-02, ..., whose classes take turns.

    Each factor takes `n_patients` evenly spaced values in random order, so that few patients still cover its range.
    """
    rng = np.random.default_rng([seed, 0])
    levels = (np.arange(n_patients) + 0.5) / n_patients
    columns = [rng.permutation(levels).tolist() for _ in FACTORS]
    factors = [dict(zip(FACTORS, row, strict=True)) for row in zip(*columns, strict=True)]
    return [
        DemoPatient(f"DEMO-{i + 1:02d}", TISSUES[i % len(TISSUES)], stain=_draw_stain(rng), **factors[i])
        for i in range(n_patients)
    ]


def _draw_stain(rng: np.random.Generator) -> Stain:
    haematoxylin = _HAEMATOXYLIN * rng.normal(1, 0.07, 3) * rng.uniform(0.8, 1.2)
    eosin = _EOSIN * rng.normal(1, 0.07, 3) * rng.uniform(0.75, 1.25)
    return Stain(_triple(haematoxylin), _triple(eosin))


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
