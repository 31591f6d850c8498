"""`python -m src.runs.reader_study`: a blinded reader study of several engines.

`make` turns finished search.py runs into a page and sheets on which people score how similar the hits are, without
knowing which engine found them; `read` takes the filled sheets and compares the engines.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from src.errors import HistoseekError
from src.eval.reader_study.study import FOR_READERS
from src.runs.job import RUN_FAILED, SLIDES_FAILED
from src.runs.reader_study.make import StudyOptions, make_study
from src.runs.reader_study.read import print_results, read_study

_EPILOG = """\
  python -m src.runs.reader_study make here=outputs/run1 yottixel=outputs/run2 --out study
  python -m src.runs.reader_study read study anna.csv bert.xlsx carla.csv --reference here

make writes study/for_readers/ (index.html, pictures, sheet.csv, sheet.xlsx): hand out this folder and nothing else. A
reader scores on the page and downloads the scores, or fills a sheet. study/key.csv says which method each letter is.
read writes study/results/: scores.csv, results.json, a box plot per aspect, report.html.

exit codes: 0 done, 2 it could not be done, 3 done, but a slide that cannot be read or a missing score was left out.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make or read a study; the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)-7s %(message)s", level=logging.ERROR)
    try:
        n_left_out: int = options.work(options)
    except HistoseekError as error:
        print(f"error: {error}", file=sys.stderr)
        return RUN_FAILED
    return SLIDES_FAILED if n_left_out else 0


def _make(options: argparse.Namespace) -> int:
    aspects = tuple(aspect.strip() for aspect in options.aspects.split(","))
    asked = StudyOptions(options.rate, aspects, options.hits, options.queries, options.seed)
    made = make_study(options.runs, options.out, asked)
    for why in made.left_out:
        print(f"left out: {why}", file=sys.stderr)
    key, n_methods = made.study.key, made.study.key["method"].nunique()
    print(
        f"{options.out / FOR_READERS}: study {made.study.name}, {key['query'].nunique()} queries, {n_methods} methods, "
        f"{len(made.study.items)} items to score; hand out this folder, keep {options.out / 'key.csv'} to yourself"
    )
    return len(made.left_out)


def _read(options: argparse.Namespace) -> int:
    results = read_study(options.study, options.sheets, options.out or options.study / "results", options.reference)
    print_results(results)
    return results.n_left_out


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m src.runs.reader_study", None, __doc__, _EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="make | read")
    make = commands.add_parser("make", help="write a study of finished runs")
    make.set_defaults(work=_make)
    make.add_argument("runs", nargs="+", metavar="[NAME=]RUN", help="folder of a finished search.py run of a protocol")
    make.add_argument("--out", type=Path, required=True, metavar="STUDY", help="folder to write; it may not exist yet")
    make.add_argument(
        "--rate", choices=("answers", "hits"), default="answers", help="one score per answer (default), or per hit"
    )
    make.add_argument("--aspects", default="overall", metavar="A,B", help="what is scored of each (default: overall)")
    make.add_argument("--hits", type=int, default=5, help="slides per answer (default: 5)")
    make.add_argument("--queries", type=int, metavar="N", help="draw N queries (default: all)")
    make.add_argument("--seed", type=int, default=0, help="of the letters and the draw (default: 0)")
    read = commands.add_parser("read", help="un-blind filled sheets and compare the methods")
    read.set_defaults(work=_read)
    read.add_argument("study", type=Path, metavar="STUDY", help="what make wrote")
    read.add_argument(
        "sheets", nargs="+", type=Path, metavar="SHEET", help=".csv or .xlsx; one per reader, who is called as it is"
    )
    read.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: STUDY/results)")
    read.add_argument("--reference", metavar="NAME", help="compare it with each other method (default: all pairs)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
