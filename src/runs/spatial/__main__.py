"""`python -m src.runs.spatial`: which genes mark the spots of a section that look alike.

Each spot's patch is encoded, the spots are clustered by how they look, and every gene is tested in every cluster
against the other spots.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from src.errors import HistoseekError
from src.runs.job import RUN_FAILED
from src.runs.spatial.section_run import SectionOptions, SectionResult, read_section, run_section

_N_TOP_GENES = 4
_DEFAULT = SectionOptions()
_EPILOG = """\
  python -m src.runs.spatial her2st/B4 --out outputs/B4
  python -m src.runs.spatial outs --image slide.tif --encoder uni --genes ERBB2,COL1A1 --out outputs/visium

a section is a folder of her2st (he.jpg, counts.tsv.gz, spots.tsv) or of Space Ranger (filtered_feature_bc_matrix.h5,
spatial/); the latter's image is given with --image. Written are spots.csv (cluster of each spot), tests.parquet (every
cluster and gene), genes.csv (those with a large effect), summary.json and map.png.

expression is log(1 + counts per 10,000), centred per gene; HERE uses sctransform, so its effects are other numbers.

exit codes: 0 done, 2 it could not be done.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at one section; the exit code."""
    options = vars(_parser().parse_args(arguments))
    logging.basicConfig(format="%(levelname)-7s %(message)s", level=logging.WARNING)
    folder, image, out = options.pop("section"), options.pop("image"), options.pop("out")
    genes = tuple(gene.strip() for gene in options.pop("genes").split(",") if gene.strip())
    try:
        result = run_section(read_section(folder, image), out, SectionOptions(genes=genes, **options))
    except HistoseekError as error:
        print(f"error: {error}", file=sys.stderr)
        return RUN_FAILED
    _print(result)
    print(f"{out}: {len(result.found)} genes found; map.png, genes.csv, tests.parquet, spots.csv, summary.json")
    return 0


def _print(result: SectionResult) -> None:
    facts = result.facts
    title = f"{facts['section']}: {facts['n_spots']} spots, {facts['n_genes']} genes, {facts['encoder']}"
    table = Table(title=title, title_justify="left")
    for heading in ("cluster", "spots", "genes found"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("largest effects (Cohen's d)")
    for cluster, tests in result.tests.groupby("cluster"):
        found = result.found[result.found["cluster"] == cluster]
        table.add_row(str(cluster), str(tests["n_spots"].iloc[0]), str(len(found)), _top(found))
    Console().print(table)


def _top(found: pd.DataFrame) -> str:
    top = found.head(_N_TOP_GENES)
    return ", ".join(f"{gene} {d:.2f}" for gene, d in zip(top["gene"], top["cohens_d"], strict=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m src.runs.spatial", None, __doc__, _EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("section", type=Path, metavar="SECTION", help="folder of one section")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the results")
    add("--image", type=Path, metavar="FILE", help="image of a Space Ranger section (default: its hires image)")
    add(
        "--mpp", type=float, help="microns per pixel of the image (default: the file's, else by the pitch of the spots)"
    )
    add("--encoder", default=_DEFAULT.encoder, metavar="NAME", help="one of conf/encoder/ (default: %(default)s)")
    add("--checkpoint", metavar="FILE", help="weights of the encoder")
    add("--clusters", type=int, default=_DEFAULT.n_clusters, dest="n_clusters", help="default: %(default)s")
    add("--scaling", choices=("z_score", "unit_norm"), default=_DEFAULT.scaling, help="default: %(default)s")
    add("--seed", type=int, default=_DEFAULT.seed, help="of the clustering (default: %(default)s)")
    add("--min-genes", type=int, default=_DEFAULT.min_genes, help="a spot has at least as many (default: %(default)s)")
    add(
        "--min-spots", type=int, default=_DEFAULT.min_spots, help="a gene is in at least as many (default: %(default)s)"
    )
    add("--genes", default="", metavar="A,B", help="test only these, and map them (default: all; the first is mapped)")
    add("--min-cohens-d", type=float, default=_DEFAULT.min_cohens_d, metavar="D", help="default: %(default)s")
    add("--max-fdr", type=float, default=_DEFAULT.max_fdr, metavar="FDR", help="default: %(default)s")
    add("--official-web-fdr", action="store_true", help="0.1, where HERE's web portal starts")
    return parser


if __name__ == "__main__":
    sys.exit(main())
