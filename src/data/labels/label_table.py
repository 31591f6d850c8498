"""The label table of HERE's multitask head: patient_id, eleven gene classes and 55 regressions, from raw data.

Source: data2intelligence/HERE_training, `prepare_dataset_v7.py` and `train.py` (commit aea9856): genes that have no
column in a cancer type become class 2, and patients with a missing regression are left out.
Differs from HERE's code: the patients of a cancer type are those with a primary tumour's expression, whether or not
they have a slide.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from src.data.files import write_json, written_whole
from src.data.labels.barcodes import EXCLUDED_PATIENTS
from src.data.labels.expression import read_expression
from src.data.labels.genes import GeneClasses, gene_classes
from src.data.labels.maf import Effects, maf_files, read_effects
from src.data.labels.manifest import CancerFiles
from src.data.labels.report import cancer_report
from src.data.labels.scores import Aggregate, aliquot_scores, patient_scores
from src.data.labels.signatures import Signatures
from src.data.targets import GENE_TARGETS, NOT_SEQUENCED, REGRESSION_TARGETS, TARGETS
from src.errors import CohortError


@dataclass(frozen=True)
class LabelOptions:
    """Where HERE's paper and code leave a choice.

    Attributes:
        patient_aggregate: over the aliquots of a patient; `mean` as the code, `median` as the paper.
        official_drop_paired_tumours: take the tumours of patients with normal samples for normals, as the code does.
    """

    patient_aggregate: Aggregate = "mean"
    official_drop_paired_tumours: bool = False


@dataclass(frozen=True)
class Labels:
    """Labels and how they came to be.

    Attributes:
        table: patient_id and the 66 targets; classes are int64, regressions float64 without NaN.
        report: what was used and what was dropped, by cancer type; JSON-serialisable.
    """

    table: pd.DataFrame
    report: dict[str, Any]


def make_labels(cancers: list[CancerFiles], signatures: Signatures, options: LabelOptions = LabelOptions()) -> Labels:
    """Labels of every cancer type, one after the other.

    Raises:
        CohortError: with file and line or column, for what cannot be used; or a patient of two cancer types.
    """
    parts = {files.cancer: labels_of_cancer(files, signatures, options) for files in cancers}
    table = pd.concat([part.table for part in parts.values()], ignore_index=True)
    owner = pd.Series([cancer for cancer, part in parts.items() for _ in range(len(part.table))], dtype=object)
    for row in table.index[table["patient_id"].duplicated()]:
        patient_id = table["patient_id"][row]
        both = sorted(owner[table["patient_id"] == patient_id])
        raise CohortError(f"{patient_id}: in the FPKM tables of {' and '.join(both)}; expected one cancer type")
    return Labels(table, {"n_patients": len(table), "cancers": {name: part.report for name, part in parts.items()}})


def labels_of_cancer(files: CancerFiles, signatures: Signatures, options: LabelOptions) -> Labels:
    """Labels of one cancer type, sorted by patient.

    Raises:
        CohortError: with file and line or column, for what cannot be used.
    """
    expression = read_expression(files.fpkm, files.samples, options.official_drop_paired_tumours)
    aliquots = aliquot_scores(expression.profiles, signatures, files.fpkm)
    patients = patient_scores(aliquots, options.patient_aggregate).drop(list(EXCLUDED_PATIENTS), errors="ignore")
    effects = read_effects(maf_files(files.maf)) if files.maf is not None else Effects()
    genes = gene_classes(files.cancer, effects, patients.index.tolist())
    table = _joined(patients, genes)
    return Labels(table, cancer_report(expression, signatures, patients, genes, table))


def write_labels(labels: Labels, file: Path) -> Path:
    """Write the table (parquet or CSV, by its suffix) and its report beside it, each whole; the report's path.

    Raises:
        CohortError: another suffix.
    """
    if file.suffix not in (".parquet", ".csv"):
        raise CohortError(f"{file}: suffix {file.suffix!r} is unknown; name the label table .parquet or .csv")
    report = file.with_suffix(".report.json")
    write_json(report, labels.report)
    with written_whole(file) as temporary:
        if file.suffix == ".parquet":
            labels.table.to_parquet(temporary, index=False)
        else:
            labels.table.to_csv(temporary, index=False, lineterminator="\n")
    return report


def _joined(patients: pd.DataFrame, genes: GeneClasses) -> pd.DataFrame:
    table = patients.join(genes.table).dropna(subset=list(REGRESSION_TARGETS))
    for gene in GENE_TARGETS:
        table[gene] = table[gene] if gene in table.columns else NOT_SEQUENCED
    return table[list(TARGETS)].rename_axis("patient_id").reset_index()
