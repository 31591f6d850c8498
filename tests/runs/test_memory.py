from __future__ import annotations

from pathlib import Path

import pytest

from src.runs import memory
from src.runs.memory import MemoryMark

_MIB = 1 << 20


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs a Linux kernel")
def test_peak_of_a_run_is_its_own_and_not_that_of_a_run_before() -> None:
    before = MemoryMark.set()
    held = bytearray(256 * _MIB)
    peak, added = measured(before)
    del held
    peak_after, added_after = measured(MemoryMark.set())
    assert added > 200 * _MIB
    assert added_after < 50 * _MIB
    assert peak - peak_after > 200 * _MIB


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs a Linux kernel")
def test_memory_that_a_run_has_freed_counts_again_in_the_next() -> None:
    added, kept = [], []
    for _ in range(2):
        mark = MemoryMark.set()
        held = [bytes(1000) for _ in range(100_000)]
        kept.append(bytes(1000))  # lies behind what is freed, so that the heap cannot shrink by itself
        added.append(measured(mark)[1])
        del held
    assert min(added) > 80 * _MIB


def measured(mark: MemoryMark) -> tuple[int, int]:
    peak, added = mark.values().values()
    assert peak is not None
    assert added is not None
    return peak, added


def test_nothing_is_claimed_where_the_peak_cannot_be_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "missing" / "clear_refs")
    assert MemoryMark.set().values() == {"memory_peak_bytes": None, "memory_added_bytes": None}
