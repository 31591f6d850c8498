"""What an index takes of the memory of a process that loads it: anonymous memory, so no mapped file."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

import numpy as np

from benchmarks.frontier_systems import systems
from benchmarks.mixture import DIM
from src.interfaces import Codes, Index
from src.runs.memory import MemoryMark

_N_WARMING = 1000
P = ParamSpec("P")
T = TypeVar("T")


def anonymous_bytes() -> int:
    """Memory of this process that is no mapped file; 0 where there is no Linux kernel."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def loaded_bytes(system: str, path: Path) -> int:
    """What a fresh process takes to load a saved index and to search it once.

    Args:
        system: its name in `frontier_systems`.
        path: what the index's `save` wrote, of 256 dimensions.
    """
    return in_fresh_process(_loaded_bytes, system, path)


def in_fresh_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function of a module returns in a process that has done nothing before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(function, *args, **kwargs).result()


def held_bytes() -> int:
    """Anonymous memory after what is freed was given back to the system."""
    MemoryMark.set()
    return anonymous_bytes()


def _loaded_bytes(system: str, path: Path) -> int:
    _warm(systems((system,))[0].make(1))
    index = systems((system,))[0].make(1)
    before_bytes = held_bytes()
    index.load(path)
    index.search(_vectors(1), 10)
    return held_bytes() - before_bytes


def _warm(small: Index) -> None:
    """Use all that is loaded on first use, so that libraries are not counted."""
    small.train(_vectors(_N_WARMING))
    small.add(_vectors(_N_WARMING))
    with TemporaryDirectory() as folder:
        small.save(Path(folder) / "index")
        small.load(Path(folder) / "index")
    small.search(_vectors(1), 10)


def _vectors(n: int) -> Codes:
    drawn = np.random.default_rng(0).standard_normal((n, DIM), dtype=np.float32)
    return Codes(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
