"""Fits that add up numbers in one order, whatever the number of threads.

Libraries for linear algebra and OpenMP sum each thread's share and then the shares; floats differ in their last digits,
and what is fitted on them (rotations, clusters) differs with them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Keep numerical libraries to one thread inside the block."""
    limit: AbstractContextManager[object] = _threads().limit(limits=1)
    return limit


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()
