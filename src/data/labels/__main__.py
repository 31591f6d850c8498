"""`python -m src.data.labels`: raw TCGA data to the label table that the multitask head is trained on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.data.labels.label_table import LabelOptions, make_labels, write_labels
from src.data.labels.manifest import read_manifest
from src.data.labels.signatures import read_signatures
from src.errors import HistoseekError

_FILES = {
    "--manifest": "CSV of the raw data, see below",
    "--gene-sets": "MSigDB's h.all.v2022.1.Hs.symbols.gmt",
    "--exclusion": "TIDE's exclusion.signature",
    "--dysfunction": "TIDE's run.summary.full.trans",
    "--out": "label table to write, .parquet or .csv",
}
_EPILOG = """\
the manifest is a CSV with one line per cancer type, paths relative to its folder:

  cancer,fpkm,samples,maf
  BRCA,brca/Merged_FPKM.tsv,brca/samples.tsv,brca/mafs/
  CHOL,chol/Merged_FPKM.tsv,,

  fpkm     table with column gene_name and one column per aliquot (TCGA-A1-A0SB-01A-11R-A144-07)
  samples  table with columns barcode and sample_type; its normals (Solid Tissue Normal) are subtracted.
           Empty: the mean over all columns is. BRCA in HERE: only curated normals are listed.
  maf      table of OncoKB's MafAnnotator (Hugo_Symbol, Tumor_Sample_Barcode, MUTATION_EFFECT), or a folder
           of them. Empty: nobody was sequenced.

tables are tab-separated (.csv: commas) and may be gzipped. Written are OUT and, beside it, a .report.json that says
what was dropped and why. exit codes: 0 done, 2 an input that cannot be used.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the label table; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        cancers = read_manifest(options.manifest)
        signatures = read_signatures(options.gene_sets, options.exclusion, options.dysfunction)
        choices = LabelOptions(options.patient_aggregate, options.official_drop_paired_tumours)
        labels = make_labels(cancers, signatures, choices)
        report = write_labels(labels, options.out)
    except HistoseekError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {len(labels.table)} patients, {labels.table.shape[1] - 1} targets; dropped: see {report}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m src.data.labels", None, __doc__, _EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, meaning in _FILES.items():
        parser.add_argument(name, help=meaning, type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--patient-aggregate",
        choices=("mean", "median"),
        default="mean",
        help="of several aliquots of a patient; mean as HERE's code (default), median as its paper",
    )
    parser.add_argument(
        "--official-drop-paired-tumours",
        action="store_true",
        help="as HERE's code, take the tumours of patients who have normal samples for normals",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
