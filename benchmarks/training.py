"""One epoch of HERE's training: this project's loop against a plain reading of the official one, on the same bags.

`python -m benchmarks.training` prints the table. Rounds alternate between the two, each in a process of its own, so
that peak memory is its own, imports included. Times are CPU seconds of one thread, so that other work on the machine
does not count, from the first optimiser step on, so that starting up does not either.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks.bags import DIM, write_bags

LOOPS = {"official": "benchmarks.official_loop", "ours": "benchmarks.our_loop"}
"""Modules whose `steps_per_s(folder)` trains one epoch on the bags of a folder; imported where they run."""

_KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Measurement:
    """One epoch of one loop."""

    loop: str
    steps_per_s: float
    peak_mib: float


def measure(loop: str, folder: Path) -> Measurement:
    """Train one epoch in this process; the peak is that of the process."""
    torch.set_num_threads(1)
    steps_per_s = importlib.import_module(LOOPS[loop]).steps_per_s(folder)
    return Measurement(loop, steps_per_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB)


def measured_apart(loop: str, folder: Path) -> Measurement:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training", "--loop", loop, "--folder", str(folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Measurement(**json.loads(answer.splitlines()[-1]))


def table(measurements: Sequence[Measurement]) -> str:
    """Medians over the rounds, and ours as a ratio of the official loop."""
    rows = {name: [each for each in measurements if each.loop == name] for name in LOOPS}
    speed = {name: median(each.steps_per_s for each in some) for name, some in rows.items()}
    peak = {name: median(each.peak_mib for each in some) for name, some in rows.items()}
    ratios = f"| ours / official | {speed['ours'] / speed['official']:.2f} | {peak['ours'] / peak['official']:.2f} |"
    lines = [f"| {name} | {speed[name]:.2f} | {peak[name]:.0f} |" for name in LOOPS]
    return "\n".join(["| loop | steps per CPU second | peak memory, MiB |", "|---|---:|---:|", *lines, ratios])


def main() -> None:
    """Draw bags, alternate between the loops, print the table."""
    options = _options()
    if options.loop:
        print(json.dumps(asdict(measure(options.loop, options.folder))))
        return
    with tempfile.TemporaryDirectory() as name:
        n_patches = write_bags(Path(name), options.n_bags, options.fewest, options.most, seed=0)
        rounds = [measured_apart(loop, Path(name)) for _ in range(options.n_rounds) for loop in LOOPS]
    print(f"{options.n_bags} bags of {min(n_patches)} to {max(n_patches)} patches x {DIM}, {options.n_rounds} rounds\n")
    print(table(rounds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-bags", type=int, default=40)
    parser.add_argument("--fewest", type=int, default=2_000, help="patches of a bag")
    parser.add_argument("--most", type=int, default=20_000, help="patches of a bag")
    parser.add_argument("--n-rounds", type=int, default=3)
    parser.add_argument("--loop", choices=sorted(LOOPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
