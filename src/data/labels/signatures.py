"""What the regressions are computed from: hallmark gene sets, and TIDE's signatures of exclusion and dysfunction.

Sources: MSigDB's `h.all.v2022.1.Hs.symbols.gmt` (Liberzon et al. 2015); TIDE's download page (Jiang et al. 2018),
`Exclusion_scores/exclusion.signature` and `run.summary.full.trans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from src.data.labels.tables import lines_of, read_numbers, shortened
from src.data.targets import HALLMARKS
from src.errors import CohortError

EXCLUSION_COLUMNS = ("CAF", "M2", "MDSC")
_MIN_GENES = 3  # fewer make every correlation 1 or -1


@dataclass(frozen=True)
class Signatures:
    """Everything that is not expression.

    Attributes:
        hallmarks: genes by name, `HALLMARK_` left out; the fifty of MSigDB.
        tide: gene by signature, one series for each of CAF, M2, MDSC and Dys; genes without a value are left out.
    """

    hallmarks: dict[str, tuple[str, ...]]
    tide: dict[str, pd.Series]


def read_signatures(gene_sets: Path, exclusion: Path, dysfunction: Path) -> Signatures:
    """The three files as they are offered for download.

    Args:
        gene_sets: GMT: a line has name, description and genes, tab-separated.
        exclusion: genes by CAF, M2, MDSC and others, tab-separated; the others (`Mean`) are not used.
        dysfunction: genes by cohorts, tab-separated; its signature is the median over cohorts of the genes that have a
            value in each of them.

    Raises:
        CohortError: with file and line or column, for what cannot be read or used.
    """
    sets = read_gene_sets(gene_sets)
    for name in HALLMARKS:
        if f"HALLMARK_{name}" not in sets:
            raise CohortError(f"{gene_sets}: gene set HALLMARK_{name} is missing; use MSigDB's h.all collection")
    hallmarks = {name: sets[f"HALLMARK_{name}"] for name in HALLMARKS}
    return Signatures(hallmarks, {**_exclusion(exclusion), "Dys": _dysfunction(dysfunction)})


def read_gene_sets(file: Path) -> dict[str, tuple[str, ...]]:
    """Genes by set; a gene counts once.

    Raises:
        CohortError: a set without genes or named twice, naming the line, or a file without sets.
    """
    sets: dict[str, tuple[str, ...]] = {}
    for number, line in lines_of(file):
        if not line.strip():
            continue
        name, genes = _gene_set(line)
        if not genes:
            raise CohortError(f"{file}: line {number}: gene set {name!r} is empty; expected name, description, genes")
        if name in sets:
            raise CohortError(f"{file}: line {number}: gene set {name} appears twice; give each set one line")
        sets[name] = genes
    if not sets:
        raise CohortError(f"{file}: no gene sets; expected a GMT file with one set per line")
    return sets


def _gene_set(line: str) -> tuple[str, tuple[str, ...]]:
    name, _, *genes = [*line.split("\t"), ""] if "\t" not in line else line.split("\t")
    return name.strip(), tuple(dict.fromkeys(gene.strip() for gene in genes if gene.strip()))


def _exclusion(file: Path) -> dict[str, pd.Series]:
    table = read_numbers(file)
    for column in EXCLUSION_COLUMNS:
        if column not in table.columns:
            raise CohortError(f"{file}: column {column} is missing; the table has {shortened(table.columns)}")
    _check_unique(table, file)
    return {column: _usable(table[column].dropna(), file, f"column {column}") for column in EXCLUSION_COLUMNS}


def _dysfunction(file: Path) -> pd.Series:
    table = read_numbers(file)
    _check_unique(table, file)
    return _usable(table.dropna().median(axis=1), file, "the signature of genes with a value in each column")


def _usable(signature: pd.Series, file: Path, what: str) -> pd.Series:
    if len(signature) < _MIN_GENES or signature.nunique() < 2:
        raise CohortError(
            f"{file}: {what} has {len(signature)} genes and {signature.nunique()} different values; "
            f"expected {_MIN_GENES} genes or more that differ"
        )
    return signature


def _check_unique(table: pd.DataFrame, file: Path) -> None:
    repeated: Sequence[str] = table.index[table.index.duplicated()].unique().tolist()
    if repeated:
        raise CohortError(f"{file}: gene {shortened(repeated)} appears twice; expected one line per gene")
