"""Mutation effects of a cancer type to the classes of HERE's eleven genes.

Source: data2intelligence/HERE_training, `prepare_dataset_v7.py` (commit aea9856): class 1 is a loss of a tumour
suppressor, a gain of an oncogene or a switch of IDH1; class 0 is every other effect and the wild type; class 2 is a
patient who was not sequenced, or a gene that is not labelled in that cancer type. `common.py` calls IDH1's class 1
`Loss_Or_Switch`, but a loss is class 0 in the data, and so it is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from src.data.labels.maf import Effects
from src.data.labels.tables import shortened
from src.data.targets import COUNTED_EFFECT, GENES, NOT_SEQUENCED
from src.errors import CohortError

VALID_GENES: dict[str, tuple[str, ...]] = {
    "ACC": ("TP53",),
    "BLCA": ("TP53",),
    "BRCA": ("TP53", "PIK3CA", "CDH1", "GATA3"),
    "CESC": ("PIK3CA",),
    "CHOL": (),
    "COAD": ("APC", "TP53", "KRAS", "PIK3CA"),
    "DLBC": (),
    "ESCA": ("TP53",),
    "GBM": ("TP53", "PTEN"),
    "HNSC": ("TP53",),
    "KICH": ("TP53",),
    "KIRC": (),
    "KIRP": (),
    "LGG": ("IDH1", "TP53", "ATRX"),
    "LIHC": ("TP53",),
    "LUAD": ("TP53", "KRAS"),
    "LUSC": ("TP53",),
    "MESO": (),
    "OV": ("TP53",),
    "PAAD": ("KRAS", "TP53"),
    "PCPG": (),
    "PRAD": ("TP53",),
    "READ": ("APC", "TP53"),
    "SARC": ("TP53",),
    "SKCM": ("BRAF",),
    "STAD": ("TP53",),
    "TGCT": (),
    "THCA": ("BRAF",),
    "THYM": (),
    "UCEC": ("PTEN", "PIK3CA", "ARID1A", "TP53"),
    "UCS": ("TP53",),
    "UVM": (),
}
"""The genes that are labelled in each TCGA cancer type."""

_EFFECTS = ("gain", "loss", "switch")  # an effect that names two is the first of them
_WITHOUT_EFFECT = ("unknown", "inconclusive", "neutral", "nan")


@dataclass(frozen=True)
class GeneClasses:
    """Classes of the patients of one cancer type.

    Attributes:
        table: patient_id by `<GENE>_cls`, only genes that are labelled; int64 classes 0, 1, 2.
        dropped: reason by gene, for genes of the cancer type that got no column.
        unrecognised: count by effect, for effects that OncoKB does not have; they are class 0.
    """

    table: pd.DataFrame
    dropped: dict[str, str]
    unrecognised: dict[str, int]


def gene_classes(cancer: str, effects: Effects, patient_ids: Sequence[str]) -> GeneClasses:
    """One column for each gene that is labelled in the cancer type.

    A gene gets no column when no mutation of it has an effect but `Unknown`, or all patients have one class.

    Args:
        cancer: TCGA code, such as BRCA.
        effects: what the MAF says.
        patient_ids: the rows of the table.

    Raises:
        CohortError: an unknown cancer type.
    """
    columns: dict[str, list[int]] = {}
    dropped: dict[str, str] = {}
    for gene in valid_genes(cancer):
        classes = [class_of(gene, effects.effect(gene, patient_id)) for patient_id in patient_ids]
        reason = _reason_to_drop(effects.of_gene(gene), classes)
        if reason:
            dropped[gene] = reason
        else:
            columns[f"{gene}_cls"] = classes
    table = pd.DataFrame(columns, list(patient_ids), dtype="int64").rename_axis("patient_id")
    return GeneClasses(table, dropped, _unrecognised(effects, valid_genes(cancer)))


def valid_genes(cancer: str) -> tuple[str, ...]:
    """Genes that are labelled in a cancer type.

    Raises:
        CohortError: an unknown cancer type.
    """
    if cancer not in VALID_GENES:
        raise CohortError(f"cancer type {cancer!r} is unknown; expected one of {shortened(VALID_GENES, 32)}")
    return VALID_GENES[cancer]


def class_of(gene: str, effect: str | None) -> int:
    """Class of one patient.

    Args:
        gene: one of the eleven.
        effect: OncoKB's MUTATION_EFFECT; `nan` for the wild type, None where the patient was not sequenced.

    Raises:
        CohortError: a gene that HERE does not label.

    >>> [class_of("KRAS", effect) for effect in ("Likely Gain-of-function", "Loss-of-function", "nan", None)]
    [1, 0, 0, 2]
    """
    if gene not in COUNTED_EFFECT:
        raise CohortError(f"gene {gene!r} is unknown; expected one of {shortened(GENES, 11)}")
    if effect is None:
        return NOT_SEQUENCED
    reduced = next((word for word in _EFFECTS if word in effect.lower()), None)
    return int(reduced == COUNTED_EFFECT[gene])


def _reason_to_drop(effects: set[str], classes: list[int]) -> str | None:
    if not effects - {"Unknown", "nan"}:  # convert_tcga_maf_to_valid_input_v2.py sorts such genes out
        return "no mutation of known effect"
    if len(set(classes)) == 1:
        return f"every patient has class {classes[0]}"
    return None


def _unrecognised(effects: Effects, genes: Sequence[str]) -> dict[str, int]:
    known = (*_EFFECTS, *_WITHOUT_EFFECT)
    found = [effect for gene in genes for effect in effects.by_gene.get(gene, {}).values()]
    strange = [effect for effect in found if not any(word in effect.lower() for word in known)]
    return {effect: strange.count(effect) for effect in sorted(set(strange))}
