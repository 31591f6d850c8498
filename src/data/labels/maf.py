"""Mutation effects of patients from MAF tables that OncoKB's MafAnnotator has annotated.

Source: data2intelligence/HERE_training, `convert_tcga_maf_to_valid_input_v2.py` (commit aea9856). Of several mutations
of a gene in one aliquot the last row counts, whatever it is; of several aliquots of a patient the last one counts,
though it may have no mutation of the gene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from src.data.labels.barcodes import patient_of
from src.data.labels.tables import read_text_table
from src.errors import CohortError

COLUMNS = ("Hugo_Symbol", "Tumor_Sample_Barcode", "MUTATION_EFFECT")
WILD_TYPE = "nan"


@dataclass(frozen=True)
class Effects:
    """What the MAF tables of one cancer type say.

    Attributes:
        by_gene: effect by gene and aliquot; aliquots without a mutation of the gene are missing.
        aliquots: of each sequenced patient, in the order in which they first appear; the last one counts.
    """

    by_gene: dict[str, dict[str, str]] = field(default_factory=dict)
    aliquots: dict[str, list[str]] = field(default_factory=dict)

    def effect(self, gene: str, patient_id: str) -> str | None:
        """The patient's effect as OncoKB writes it, `nan` for the wild type, None where not sequenced."""
        if patient_id not in self.aliquots:
            return None
        return self.by_gene.get(gene, {}).get(self.aliquots[patient_id][-1], WILD_TYPE)

    def of_gene(self, gene: str) -> set[str]:
        """Every effect that the gene has in an aliquot."""
        return set(self.by_gene.get(gene, {}).values())


def read_effects(files: Sequence[Path]) -> Effects:
    """Effects from tables in the order given; a patient is sequenced when any row names one of their aliquots.

    Raises:
        CohortError: a file or column is missing, or a row has no gene or no TCGA barcode.
    """
    effects = Effects()
    for file in files:
        _add(effects, read_text_table(file, COLUMNS), file)
    return effects


def maf_files(path: Path) -> list[Path]:
    """The file itself, or all files of a folder by name; one table per aliquot is what GDC offers.

    Raises:
        CohortError: there is no such path, or the folder is empty.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise CohortError(f"{path}: the folder is empty; expected annotated MAF tables")
    return files


def _add(effects: Effects, rows: pd.DataFrame, file: Path) -> None:
    for line, gene, aliquot, effect in zip(rows.index, *(rows[column] for column in COLUMNS), strict=True):
        if not isinstance(gene, str):
            raise CohortError(f"{file}: line {line}: Hugo_Symbol is empty; expected a gene symbol")
        if not isinstance(aliquot, str):
            raise CohortError(f"{file}: line {line}: Tumor_Sample_Barcode is empty; expected a TCGA barcode")
        patient_id = patient_of(aliquot)
        if patient_id is None:
            raise CohortError(f"{file}: line {line}: Tumor_Sample_Barcode is {aliquot!r}; expected a TCGA barcode")
        effects.by_gene.setdefault(gene, {})[aliquot] = effect if isinstance(effect, str) else WILD_TYPE
        seen = effects.aliquots.setdefault(patient_id, [])
        if aliquot not in seen:
            seen.append(aliquot)
