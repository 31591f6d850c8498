"""The memory of one run, in a process that may have done others before it.

The kernel's high-water mark of the resident set is set back when a run starts, so that the runs of one sweep do not
inherit the highest peak before them; memory that they have freed is given back to the system first. What the process
still holds then (libraries, what is cached for its life) is in the peak; what the run added to it is told beside it.
Worker processes are not counted, and nothing is measured where there is no Linux kernel.
"""

from __future__ import annotations

import ctypes
import gc
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc(5)


@dataclass(frozen=True)
class MemoryMark:
    """The start of a run.

    Attributes:
        start_bytes: resident set when the run started; None where its peak cannot be measured.
    """

    start_bytes: int | None

    @classmethod
    def set(cls) -> MemoryMark:
        """Give back what nobody holds any more, and set the high-water mark back to what is held now."""
        _give_back_freed()
        try:
            _CLEAR.write_text(_RESET_PEAK)
        except OSError:
            return cls(None)
        return cls(_status_bytes("VmRSS"))

    def values(self) -> dict[str, int | None]:
        """`memory_peak_bytes`, the largest resident set since the mark, and `memory_added_bytes`, what it grew by."""
        if self.start_bytes is None:
            return {"memory_peak_bytes": None, "memory_added_bytes": None}
        peak_bytes = _status_bytes("VmHWM")
        return {"memory_peak_bytes": peak_bytes, "memory_added_bytes": max(0, peak_bytes - self.start_bytes)}


def _give_back_freed() -> None:
    """What Python and the C library keep for later use would be used by the next run without being counted."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)


def _status_bytes(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
