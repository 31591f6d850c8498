"""Fits that add up numbers in one order, whatever the number of threads.

Libraries for linear algebra and OpenMP sum each thread's share and then the shares; floats differ in their last digits,
and what is fitted on them (rotations, clusters) differs with them.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Keep numerical libraries to one thread inside the block."""
    limit: AbstractContextManager[object] = _threads(len(sys.modules)).limit(limits=1)
    return limit


@lru_cache(maxsize=1)
def _threads(n_modules: int) -> ThreadpoolController:
    """Libraries come with modules, so that they are looked for again where there are more of these."""
    return ThreadpoolController()
