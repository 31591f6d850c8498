"""Yottixel, SISH and RetCCL on the same random slides, each beside a plain reading of its official code.

`python -m benchmarks.engines` prints a row per engine and size. Every slide is asked for once among the slides of other
patients; for a few of them the plain reading must give the same answer, and is timed too. Times are CPU seconds of one
thread, so that other work on the machine does not count. The mosaic of a query is chosen beforehand and listed apart.
Each engine runs in a process of its own; memory is what building and asking add to a process that holds the features.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from benchmarks.engine_measurement import ENGINES, Measurement, measured
from benchmarks.engine_slides import Slides, drawn
from benchmarks.markdown import markdown_table
from src.data.files import write_text
from src.data.progress import tracked

N_SLIDES = (200, 2000)

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_COLUMNS: dict[str, tuple[str, str]] = {
    "engine": ("engine", ""),
    "n_slides": ("slides", ",.0f"),
    "vectors_per_slide": ("vectors per slide", ".1f"),
    "mosaic_ms_per_slide": ("mosaic, ms per slide", ".1f"),
    "build_s": ("build, s", ".1f"),
    "query_median_ms": ("query, ms", ".2f"),
    "query_p95_ms": ("95 %", ".2f"),
    "limit_ms": ("limit, ms", ".0f"),
    "plain_median_ms": ("plain, ms", ",.0f"),
    "ratio": ("plain / ours", ",.0f"),
    "n_compared": ("answers compared", ".0f"),
    "memory_added_mib": ("memory added, MiB", ",.0f"),
}


def measured_apart(engine: str, options: argparse.Namespace, n_slides: int) -> Measurement:
    """`measured` in a process of its own, on one thread.

    Raises:
        RuntimeError: the engine and its plain reading disagree.
    """
    own = ["--one", engine, "--slides", str(n_slides), "--plain-s", str(options.plain_s)]
    own += ["--queries", str(options.queries), "--patches", str(options.patches)]
    own += ["--input", str(options.input)] if options.input else []
    command = [sys.executable, "-m", "benchmarks.engines", *own]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **_ONE_THREAD}, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def run(options: argparse.Namespace) -> pd.DataFrame:
    """Measure every engine at every size; a JSON line each in engines.jsonl, the table in engines.md."""
    sizes: Sequence[int] = [len(Slides.read(options.input).slide)] if options.input else sorted(options.slides)
    cases = [(engine, size) for size in sizes for engine in options.engines]
    rows = []
    for engine, size in tracked(cases, "engines"):
        rows.append(asdict(measured_apart(engine, options, size)))
        write_text(options.out / "engines.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    table = pd.DataFrame(rows)
    write_text(options.out / "engines.md", markdown(table))
    return table


def markdown(table: pd.DataFrame) -> str:
    """The table for people."""
    shown = {title: [_cell(value, spec) for value in table[name]] for name, (title, spec) in _COLUMNS.items()}
    return markdown_table(list(shown), zip(*shown.values(), strict=True), n_words=1) + "\n"


def main() -> None:
    """Measure what the command line says, and print it."""
    options = _options()
    if options.one:
        slides = Slides.read(options.input) if options.input else drawn(options.slides[0], options.patches)
        print(json.dumps(asdict(measured(options.one, slides, options.queries or None, options.plain_s))))
    else:
        print(markdown(run(options)), end="")


def _cell(value: float | str | None, spec: str) -> str:
    return "" if pd.isna(value) else format(value, spec)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add: Callable[..., object] = parser.add_argument
    add("--slides", type=int, nargs="+", default=list(N_SLIDES), help="sizes of the database")
    add("--patches", type=int, default=100, help="patches of a slide")
    add("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    add("--input", type=Path, help="an .npz file of features, coords, mean_rgb, sish_index, label, patient, slide")
    add("--queries", type=int, default=0, help="slides that are asked for; 0: every one")
    add("--plain-s", type=float, default=60.0, help="seconds for the plain reading of each engine, one query at least")
    add("--out", type=Path, default=Path("outputs/engines"))
    add("--one", choices=list(ENGINES), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
