"""Counts of spots become expression that can be compared from spot to spot.

Source: HERE (data2intelligence/HERE_training, `compute_vst.R`), which drops spots with fewer than 500 genes, and
centres each gene over the spots after R's sctransform (variance-stabilising; genes of at least 5 spots).

Differs from HERE: log(1 + counts per 10,000 of the spot) instead of sctransform, which is a package of R. Both take the
spot's total out and hold the variance of high counts down; values, and so Cohen's d, are not the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from src.data.spatial.section import Section
from src.errors import CohortError

_PER_SPOT = 10_000.0


@dataclass(frozen=True, eq=False)
class Expression:
    """Expression of the spots that are kept.

    Attributes:
        rows: which spots of the section they are, ascending.
        genes: name of each column.
        values: spot by gene, each gene with mean 0 over the spots.
    """

    rows: Int64[np.ndarray, " spot"]
    genes: tuple[str, ...]
    values: Float64[np.ndarray, "spot gene"]


def normalise(section: Section, min_genes: int = 500, min_spots: int = 5) -> Expression:
    """Leave out poor spots and rare genes, then log and centre.

    Args:
        section: the counts.
        min_genes: a spot with fewer genes is left out.
        min_spots: a gene that fewer of the kept spots have is left out.

    Raises:
        CohortError: fewer than two spots or no gene are left.
    """
    rows = np.flatnonzero((section.counts > 0).sum(axis=1) >= max(1, min_genes))
    counts = section.counts[rows]
    columns = np.flatnonzero((counts > 0).sum(axis=0) >= max(1, min_spots))
    if len(rows) < 2 or not len(columns):
        raise CohortError(
            f"{section.name}: {len(rows)} of {len(section.spots)} spots have {min_genes} genes or more, and "
            f"{len(columns)} genes are in {min_spots} of them; lower min_genes or min_spots"
        )
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64)
    logged = np.log1p(counts[:, columns].toarray() * (_PER_SPOT / totals)[:, None])
    genes = tuple(section.genes[column] for column in columns)
    return Expression(rows, genes, logged - logged.mean(axis=0))
