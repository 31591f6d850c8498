"""Expression profiles to the 55 regression targets of HERE.

Source: data2intelligence/HERE_training, `prepare_dataset_v7.py` (commit aea9856). A hallmark is the mean of its genes,
though its name ends in `_sum`; cytotoxic T lymphocytes are the median of five genes; TIDE's scores are correlations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from src.data.labels.barcodes import PRIMARY_TUMOUR, patient_of, sample_code
from src.data.labels.expression import require_genes
from src.data.labels.signatures import Signatures
from src.data.targets import IMMUNE_TARGETS, REGRESSION_TARGETS
from src.errors import CohortError

Aggregate = Literal["mean", "median"]

CTL = IMMUNE_TARGETS[0]
CTL_GENES = ("CD8A", "CD8B", "GZMA", "GZMB", "PRF1")
_MIN_SHARED = 3


def aliquot_scores(profiles: pd.DataFrame, signatures: Signatures, file: Path) -> pd.DataFrame:
    """The 55 values of each aliquot, NaN where a profile does not vary over a signature's genes.

    Args:
        profiles: gene by aliquot, every gene once.
        signatures: gene sets and TIDE's tables.
        file: where the profiles come from, for errors.

    Raises:
        CohortError: none of a set's genes, one of the five CTL genes, or too few genes of a signature was measured.
    """
    require_genes(profiles, CTL_GENES, file, CTL)
    columns = {CTL: profiles.loc[list(CTL_GENES)].median()}
    for name, signature in signatures.tide.items():
        columns[f"TIDE_{name}"] = correlations(profiles, signature, f"{file}: TIDE_{name}")
    for name, genes in signatures.hallmarks.items():
        columns[f"HALLMARK_{name}_sum"] = _mean_of(profiles, genes, f"{file}: HALLMARK_{name}")
    return pd.DataFrame(columns)[list(REGRESSION_TARGETS)]


def correlations(profiles: pd.DataFrame, signature: pd.Series, where: str) -> pd.Series:
    """Pearson correlation of each column with the signature, over the genes that both have.

    Args:
        profiles: gene by aliquot.
        signature: value by gene.
        where: start of the error.

    Raises:
        CohortError: fewer than three genes are shared.
    """
    shared = profiles.index.intersection(signature.index)
    if len(shared) < _MIN_SHARED:
        raise CohortError(
            f"{where}: {len(shared)} genes are in both tables, expected 3 or more; use HGNC symbols in both"
        )
    centred = profiles.loc[shared] - profiles.loc[shared].mean()
    weights = signature.loc[shared] - signature.loc[shared].mean()
    norms = np.sqrt((centred**2).sum() * (weights**2).sum())
    is_flat = profiles.loc[shared].max() == profiles.loc[shared].min()  # a rounded mean leaves a norm above 0
    found: pd.Series = centred.mul(weights, axis=0).sum() / norms.mask(is_flat)
    return found.clip(-1, 1)


def patient_scores(scores: pd.DataFrame, aggregate: Aggregate = "mean") -> pd.DataFrame:
    """One row per patient over the `<patient>-01` aliquots (primary tumours), NaN values left out, sorted by patient.

    Args:
        scores: aliquot by target; other samples than primary tumours are left out.
        aggregate: `mean` as HERE's code, `median` as its paper.
    """
    primary = scores[[sample_code(aliquot) == PRIMARY_TUMOUR for aliquot in scores.index]]
    owners = pd.Index([patient_of(aliquot) for aliquot in primary.index], name="patient_id", dtype=object)
    groups = primary.set_axis(owners).groupby(level=0)
    return groups.mean() if aggregate == "mean" else groups.median()


def _mean_of(profiles: pd.DataFrame, genes: tuple[str, ...], where: str) -> pd.Series:
    measured = [gene for gene in genes if gene in profiles.index]
    if not measured:
        raise CohortError(f"{where}: none of its {len(genes)} genes was measured; use HGNC symbols in both files")
    return profiles.loc[measured].mean()
