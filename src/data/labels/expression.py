"""FPKM tables of a cancer type to log expression above the normal tissue.

Source: data2intelligence/HERE_training, `prepare_dataset_v7.py` (commit aea9856).
Differs from HERE's code: only the columns of normal samples are taken out; the code finds them by the patient and takes
that patient's tumours out with them, and into the mean of the normals (`official_drop_paired_tumours`).
One sample type has to hold both `solid` and `normal`; the code joins all types of a patient before it looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from src.data.labels.barcodes import PREFIX, SOLID_NORMAL, patient_of, sample_code
from src.data.labels.tables import column_names, read_numbers, read_text_table, shortened
from src.errors import CohortError

GENE_COLUMN = "gene_name"
SAMPLE_COLUMNS = ("barcode", "sample_type")


@dataclass(frozen=True)
class Expression:
    """Profiles of one cancer type.

    Attributes:
        profiles: gene by tumour aliquot; log2(FPKM + 1) above the reference, every gene once, sorted.
        reference: `normals`, or `all` where the mean over every column was subtracted.
        normals: columns that were taken out.
        paired_tumours: those of them that are no normal samples; empty but for the official switch.
        repeated_genes: how many genes had several rows.
        unread_columns: columns that are no TCGA barcode.
    """

    profiles: pd.DataFrame
    reference: str
    normals: list[str]
    paired_tumours: list[str]
    repeated_genes: int
    unread_columns: list[str]


def read_expression(fpkm: Path, samples: Path | None, official_drop_paired_tumours: bool = False) -> Expression:
    """Profiles from an FPKM table and the sample types of its patients.

    Args:
        fpkm: column `gene_name` and one column per TCGA aliquot; columns that are no TCGA barcode are not read.
        samples: columns `barcode` (of a patient or a sample) and `sample_type`; a patient with a type that holds both
            `solid` and `normal` has normal samples. None: there are no normals.
        official_drop_paired_tumours: take every column of such a patient for a normal.

    Raises:
        CohortError: with file, line and column, for what cannot be read or used.
    """
    table = read_numbers(fpkm, GENE_COLUMN, PREFIX)
    _check_fpkm(table, fpkm)
    patients = patients_with_normals(samples) if samples is not None else set()
    normals = [
        aliquot
        for aliquot in table.columns
        if patient_of(aliquot) in patients and (official_drop_paired_tumours or _is_normal(aliquot))
    ]
    if len(normals) == len(table.columns):
        raise CohortError(f"{fpkm}: all {len(normals)} columns are normals by {samples}; expected tumours as well")
    return _above_reference(table, normals, [name for name in column_names(fpkm) if name not in table.columns])


def patients_with_normals(samples: Path) -> set[str]:
    """Patients who have a sample whose type holds both `solid` and `normal`, such as `Solid Tissue Normal`.

    Raises:
        CohortError: a missing file or column, or a barcode that is not TCGA's.
    """
    rows = read_text_table(samples, SAMPLE_COLUMNS)
    found = set()
    for line, barcode, sample_type in zip(rows.index, rows["barcode"], rows["sample_type"], strict=True):
        patient_id = patient_of(barcode) if isinstance(barcode, str) else None
        if patient_id is None:
            raise CohortError(f"{samples}: line {line}: barcode is {barcode!r}; expected a TCGA barcode")
        if isinstance(sample_type, str) and "solid" in sample_type.lower() and "normal" in sample_type.lower():
            found.add(patient_id)
    return found


def _is_normal(aliquot: str) -> bool:
    return sample_code(aliquot) == SOLID_NORMAL


def _check_fpkm(table: pd.DataFrame, file: Path) -> None:
    strange = [column for column in table.columns if sample_code(column) is None]
    if strange:
        raise CohortError(f"{file}: column {strange[0]} is no TCGA aliquot; expected names as TCGA-A1-A0SB-01A-11R-...")
    values = table.to_numpy()
    for row, column in np.argwhere(~((values >= 0) & np.isfinite(values))):
        raise CohortError(
            f"{file}: gene {table.index[row]}: column {table.columns[column]} is {values[row, column]:g}; "
            "expected FPKM, 0 or more"
        )


def _above_reference(table: pd.DataFrame, normals: list[str], unread: list[str]) -> Expression:
    logs = table.add(1).transform(np.log2)
    reference = logs[normals] if normals else logs
    above = logs.drop(columns=normals).sub(reference.mean(axis=1).to_numpy(), axis=0)
    n_repeated = int(table.index[table.index.duplicated()].nunique())
    return Expression(
        profiles=above.groupby(level=0).median(),
        reference="normals" if normals else "all",
        normals=normals,
        paired_tumours=[aliquot for aliquot in normals if not _is_normal(aliquot)],
        repeated_genes=n_repeated,
        unread_columns=[name for name in unread if name != GENE_COLUMN],
    )


def require_genes(profiles: pd.DataFrame, genes: tuple[str, ...], file: Path, use: str) -> None:
    """Check that every gene was measured.

    Raises:
        CohortError: naming the file and the missing genes.
    """
    missing = [gene for gene in genes if gene not in profiles.index]
    if missing:
        raise CohortError(f"{file}: gene {shortened(missing)} is missing, which {use} needs; use HGNC symbols")
