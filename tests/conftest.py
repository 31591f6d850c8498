"""Where the recordings and the real data lie; tests that need them skip where they are missing.

Tests compute in one thread each: their networks are tiny, and several test processes share the cores.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read once, by the first library that computes

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing; set {variable}")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Recorded inputs and outputs of the official code."""
    return _folder("GOLDEN_DIR", _SHARED / "golden")


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """Real slides, regions and weights."""
    return _folder("HISTOSEEK_DATA", _SHARED / "data")
