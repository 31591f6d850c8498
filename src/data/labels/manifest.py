"""Which files hold the raw data of which cancer type: a CSV with one line per cancer type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.data.labels.genes import valid_genes
from src.data.labels.tables import column_names, read_text_table
from src.errors import CohortError

_FILES = ("fpkm", "samples", "maf")


@dataclass(frozen=True)
class CancerFiles:
    """The raw data of one cancer type.

    Attributes:
        cancer: TCGA code, such as BRCA.
        fpkm: table of genes by aliquots.
        samples: table of sample types, or None: there are no normals.
        maf: annotated MAF table, or a folder of them, or None: nobody was sequenced.
    """

    cancer: str
    fpkm: Path
    samples: Path | None = None
    maf: Path | None = None


def read_manifest(file: Path) -> list[CancerFiles]:
    """Columns cancer, fpkm, samples, maf; the last two may be missing or empty, paths start from the manifest's folder.

    Raises:
        CohortError: a missing column, an unknown cancer type, a type given twice, or an empty path to FPKM.
    """
    optional = [name for name in ("samples", "maf") if name in column_names(file)]
    rows = read_text_table(file, ["cancer", "fpkm", *optional])
    cancers: list[CancerFiles] = []
    for line, row in rows.iterrows():
        where = f"{file}: line {line}"
        cancer = _cancer(row["cancer"], [known.cancer for known in cancers], where)
        paths = {name: _path(row.get(name), file.parent) for name in _FILES}
        if paths["fpkm"] is None:
            raise CohortError(f"{where}: fpkm is empty; expected the path of a table")
        cancers.append(CancerFiles(cancer, paths["fpkm"], paths["samples"], paths["maf"]))
    if not cancers:
        raise CohortError(f"{file}: no cancer types; expected one line for each")
    return cancers


def _cancer(cell: object, known: list[str], where: str) -> str:
    cancer = cell.upper() if isinstance(cell, str) else ""
    try:
        valid_genes(cancer)
    except CohortError as error:
        raise CohortError(f"{where}: {error}") from error
    if cancer in known:
        raise CohortError(f"{where}: cancer type {cancer} appears twice; give each one line")
    return cancer


def _path(cell: object, folder: Path) -> Path | None:
    return folder / Path(cell).expanduser() if isinstance(cell, str) else None
