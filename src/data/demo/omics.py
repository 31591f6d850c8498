"""Made-up molecular targets of the demo patients: a few follow the picture, all others are chance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from src.data.demo.patients import DemoPatient
from src.data.targets import GENE_TARGETS, NOT_SEQUENCED, REGRESSION_TARGETS

PLANTED_REGRESSIONS = {
    "HALLMARK_E2F_TARGETS_sum": "proliferation",
    "HALLMARK_G2M_CHECKPOINT_sum": "proliferation",
    "Cytotoxic_T_Lymphocyte": "infiltration",
    "HALLMARK_EPITHELIAL_MESENCHYMAL_TRANSITION_sum": "fibrosis",
}
"""Target and the patient's factor that it follows."""

PLANTED_GENES = ("TP53_cls", "KRAS_cls")
"""TP53 is lost above median pleomorphism, KRAS gained in glandular tissue; both are sequenced in everybody."""

_NOISE = 0.15
_MUTATED_FRACTION = 0.3
_NOT_SEQUENCED_FRACTION = 0.1


def draw_omics(patients: list[DemoPatient], seed: int) -> pd.DataFrame:
    """patient_id and the 66 targets, one row per patient."""
    rng = np.random.default_rng([seed, 1])
    columns: dict[str, object] = {"patient_id": [patient.patient_id for patient in patients]}
    for gene in GENE_TARGETS:
        columns[gene] = _planted_gene(gene, patients) if gene in PLANTED_GENES else _chance_gene(len(patients), rng)
    for target in REGRESSION_TARGETS:
        columns[target] = _regression(target, patients, rng).round(4)
    return pd.DataFrame(columns)


def _planted_gene(gene: str, patients: list[DemoPatient]) -> list[int]:
    if gene == "TP53_cls":
        return [int(patient.pleomorphism > 0.5) for patient in patients]
    return [int(patient.tissue == "glandular") for patient in patients]


def _chance_gene(n: int, rng: np.random.Generator) -> list[int]:
    is_mutated = rng.random(n) < _MUTATED_FRACTION
    is_sequenced = rng.random(n) >= _NOT_SEQUENCED_FRACTION
    return [
        int(mutated) if sequenced else NOT_SEQUENCED
        for mutated, sequenced in zip(is_mutated, is_sequenced, strict=True)
    ]


def _regression(target: str, patients: list[DemoPatient], rng: np.random.Generator) -> np.ndarray:
    chance = rng.standard_normal(len(patients))
    if target not in PLANTED_REGRESSIONS:
        return chance
    factor = np.array([getattr(patient, PLANTED_REGRESSIONS[target]) for patient in patients], dtype=np.float64)
    planted: np.ndarray = (factor - 0.5) * np.sqrt(12) + _NOISE * chance  # a uniform factor has variance 1/12
    return planted
