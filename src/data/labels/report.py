"""What was used of a cancer type's raw data and what was dropped, with counts and ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from src.data.labels.barcodes import EXCLUDED_PATIENTS, PRIMARY_TUMOUR, patient_of, sample_code
from src.data.labels.expression import Expression
from src.data.labels.genes import GeneClasses
from src.data.labels.signatures import Signatures
from src.data.targets import GENE_TARGETS


def cancer_report(
    expression: Expression, signatures: Signatures, patients: pd.DataFrame, genes: GeneClasses, table: pd.DataFrame
) -> dict[str, Any]:
    """JSON-serialisable facts about one cancer type.

    Args:
        expression: profiles and what was taken out of them.
        signatures: for the genes that they name and nobody measured.
        patients: regressions of the patients that came into question, NaN where missing.
        genes: classes and why a gene has none.
        table: the labels that came of it.
    """
    aliquots = list(expression.profiles.columns)
    return {
        "n_patients": len(table),
        "n_aliquots": len(aliquots),
        "reference": expression.reference,
        "n_genes": len(expression.profiles),
        "n_repeated_genes": expression.repeated_genes,
        "unmeasured_hallmark_genes": _unmeasured(expression, signatures),
        "dropped_columns": {
            "not a TCGA barcode": counted(expression.unread_columns),
            "normal samples": counted(name for name in expression.normals if name not in expression.paired_tumours),
            "tumours of patients with normals (official)": counted(expression.paired_tumours),
            "not a primary tumour": counted(name for name in aliquots if sample_code(name) != PRIMARY_TUMOUR),
        },
        "dropped_patients": _dropped_patients(aliquots + expression.normals, patients, table),
        "genes_without_label": genes.dropped,
        "unrecognised_effects": genes.unrecognised,
        "classes": {gene: _counts(table[gene]) for gene in GENE_TARGETS},
    }


def counted(ids: Iterable[str]) -> dict[str, Any]:
    """Number and names, sorted.

    >>> counted(["b", "a"])
    {'n': 2, 'ids': ['a', 'b']}
    """
    names = sorted(ids)
    return {"n": len(names), "ids": names}


def _dropped_patients(columns: list[str], patients: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    present = {str(patient_of(name)) for name in columns}
    excluded = present & set(EXCLUDED_PATIENTS)
    without_primary = present - excluded - set(patients.index)
    return {
        "excluded by HERE": counted(excluded),
        "no primary tumour profile": counted(without_primary),
        "a regression is missing": counted(set(patients.index) - set(table["patient_id"])),
    }


def _unmeasured(expression: Expression, signatures: Signatures) -> dict[str, int]:
    measured = set(expression.profiles.index)
    missing = {name: len(set(genes) - measured) for name, genes in signatures.hallmarks.items()}
    return {f"HALLMARK_{name}": n for name, n in missing.items() if n}


def _counts(classes: pd.Series) -> dict[str, int]:
    return {str(value): int((classes == value).sum()) for value in (0, 1, 2)}
