"""A spatial transcriptomics section: its image, where its spots lie on it, and the counts of each spot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.sparse import csr_array

from src.errors import CohortError


@dataclass(frozen=True, eq=False)
class Section:
    """One section.

    Attributes:
        image: the file that the spots lie on.
        spots: name of each spot.
        centres: x, y of each spot, pixels of the image.
        spot_diameter_px: pixels of the image.
        array_mpp: microns per pixel of the image by the known pitch of the array.
        genes: name of each column of the counts; no name twice.
        counts: spot by gene.

    Raises:
        CohortError: names and counts are not equally many, or there is no spot or gene.
    """

    name: str
    image: Path
    spots: tuple[str, ...]
    centres: Float64[np.ndarray, "spot 2"]
    spot_diameter_px: float
    array_mpp: float
    genes: tuple[str, ...]
    counts: csr_array

    def __post_init__(self) -> None:
        if not self.counts.shape == (len(self.spots), len(self.genes)) or len(self.spots) != len(self.centres):
            raise CohortError(
                f"{self.name}: {len(self.spots)} spots with {len(self.centres)} places and {len(self.genes)} genes, "
                f"but counts of {self.counts.shape[0]} x {self.counts.shape[1]}; the files do not belong together"
            )
        if not self.spots or not self.genes:
            raise CohortError(f"{self.name}: no spot has both counts and a place; the files do not belong together")


def sum_genes_of_one_name(genes: list[str], counts: csr_array) -> tuple[tuple[str, ...], csr_array]:
    """Columns of one gene become their sum; the names in the order of their first column."""
    names, column_of = np.unique(np.asarray(genes, dtype=str), return_inverse=True)
    summing = csr_array((np.ones(len(genes)), (np.arange(len(genes)), column_of)), (len(genes), len(names)))
    first_seen = np.argsort(np.unique(column_of, return_index=True)[1], kind="stable")
    return tuple(names[first_seen].tolist()), csr_array(counts @ summing)[:, first_seen]
