"""Made-up reports of the demo patients, written from their labels: what a pathologist might have said of the pictures.

Tissue and grade are said as they are, lymphocytes, fibrosis and proliferation as the patient's signatures have them,
each in one of several wordings. Nothing here was ever said of a person.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.data.cohort import Cohort
from src.errors import CohortError

_TISSUE = {
    "glandular": (
        "Glands lined by columnar cells.",
        "Gland-forming growth with open lumina.",
        "Tubular, acinar pattern.",
    ),
    "squamous": ("Sheets of squamous cells.", "Squamous nests with keratin.", "Layered polygonal cells, keratinising."),
    "spindle": (
        "Fascicles of spindle cells.",
        "Spindle-shaped cells in bundles.",
        "Elongated cells, storiform pattern.",
    ),
    "lymphoid": ("Dense lymphoid tissue.", "Monotonous small lymphoid cells.", "Diffuse sheets of lymphocytes."),
}
_GRADE = {
    "G1": ("Well differentiated, G1.", "Low grade."),
    "G2": ("Moderately differentiated, G2.", "Intermediate grade."),
    "G3": ("Poorly differentiated, G3.", "High grade."),
}
_LEVELS: Mapping[str, Sequence[str]] = {
    "Cytotoxic_T_Lymphocyte": ("No stromal infiltrate.", "Some infiltrate in the stroma.", "Brisk stromal infiltrate."),
    "HALLMARK_EPITHELIAL_MESENCHYMAL_TRANSITION_sum": ("Little collagen.", "Moderate fibrosis.", "Marked fibrosis."),
    "HALLMARK_E2F_TARGETS_sum": ("Mitoses rare.", "Occasional mitoses.", "Numerous mitoses."),
}


@dataclass(frozen=True)
class DemoReports:
    """One report per patient of `data=demo`.

    Attributes:
        seed: of wordings and the order of sentences.
    """

    seed: int

    def read(self, cohort: Cohort) -> pd.Series:
        """The text of each slide, by slide_id.

        Raises:
            CohortError: a cohort without the labels of the demo cohort.
        """
        missing = [column for column in ("tissue", "grade", *_LEVELS) if column not in cohort.table]
        if missing:
            raise CohortError(f"{cohort.name}: no column {missing[0]!r}; reports=demo writes those of data=demo only")
        levels = {name: _thirds(cohort.table[name]) for name in _LEVELS}
        by_slide = cohort.table.assign(**levels).set_index("slide_id")
        return by_slide.apply(self._written, axis=1).rename("report")

    def _written(self, slide: pd.Series) -> str:
        rng = np.random.default_rng([self.seed, zlib.crc32(str(slide["patient_id"]).encode())])
        said = [str(rng.choice(_TISSUE[slide["tissue"]])), str(rng.choice(_GRADE[slide["grade"]]))]
        said += [texts[int(slide[name])] for name, texts in _LEVELS.items()]
        return " ".join(said[i] for i in rng.permutation(len(said)))


def _thirds(values: pd.Series) -> pd.Series:
    """0, 1 or 2: the lowest, middle or highest third of a cohort."""
    return (3 * values.rank(method="first").sub(1) / len(values)).astype(int)
