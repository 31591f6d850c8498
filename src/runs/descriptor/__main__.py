"""`python -m src.runs.descriptor`: what an encoder makes of a cohort, from a finished run of search.py.

Its features are projected to two dimensions and coloured by class. Where the encoder is an LGFFEM, Grad-CAM++ shows on
every node of its fusion layers what makes a hit similar to its query.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from src.errors import HistoseekError
from src.runs.descriptor.pictures import CAM_FILE, PROJECTION_FILE, REPORT_FILE, PictureOptions, draw_pictures
from src.runs.job import RUN_FAILED
from src.runs.reader_study.finished_run import open_runs

_DEFAULT = PictureOptions()
_EPILOG = f"""\
  python -m src.runs.descriptor outputs/search/RUN --out outputs/pictures
  python -m src.runs.descriptor outputs/search/RUN --query S0-1 --hit S0-2 --logger wandb --out outputs/pictures

written are {PROJECTION_FILE}, {CAM_FILE} and {REPORT_FILE}, which shows both.

exit codes: 0 done, 2 it could not be done.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the pictures of one run; the exit code."""
    options = vars(_parser().parse_args(arguments))
    logging.basicConfig(format="%(levelname)-7s %(message)s", level=logging.WARNING)
    folder, out = options.pop("run"), options.pop("out")
    try:
        (run,) = open_runs([folder])
        draw_pictures(run, out, PictureOptions(**options))
    except HistoseekError as error:
        print(f"error: {error}", file=sys.stderr)
        return RUN_FAILED
    print(out / REPORT_FILE)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m src.runs.descriptor", None, __doc__, _EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished search.py run of a protocol")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the pictures")
    add("--query", metavar="ID", help="query of the pair (default: the first of the run)")
    add("--hit", metavar="ID", help="one of its hits (default: the nearest)")
    add("--max-patches", type=int, default=_DEFAULT.max_patches, help="that are projected (default: %(default)s)")
    add("--seed", type=int, default=_DEFAULT.seed, help="default: %(default)s")
    add("--logger", default=_DEFAULT.logger, choices=("csv", "wandb"), help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
