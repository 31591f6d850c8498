"""How numbers and quantities are written in a report."""

from __future__ import annotations

import math
from numbers import Integral, Real

_UNITS = {"_ms": "ms", "_s": "s", "_px": "px", "_mpp": "µm/px"}


def number(value: object, digits: int = 3) -> str:
    r"""A number as a reader wants it; whatever is no number is shown as it is, and what is missing as a dash.

    >>> number(1234567), number(0.61234), number(float("nan")), number(12.0), number("l2")
    ('1\xa0234\xa0567', '0.612', '–', '12.0', 'l2')
    """
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}".replace(",", "\N{NO-BREAK SPACE}")
    return _decimal(float(value), digits)


def quantity(name: str, value: object) -> tuple[str, str]:
    r"""The name and value of a fact, the unit taken from the end of the name.

    >>> quantity("search_ms", 12.31), quantity("index_size_bytes", 5_300_000), quantity("metric", "cosine")
    (('search', '12.3\xa0ms'), ('index size', '5.3\xa0MB'), ('metric', 'cosine'))
    """
    if name.endswith("_bytes") and isinstance(value, Real):
        return name.removesuffix("_bytes").replace("_", " "), _scaled(float(value), "B")
    if name.startswith("flops_") and isinstance(value, Real):
        return name.replace("_", " "), _scaled(float(value), "FLOP")
    for ending, unit in _UNITS.items():
        if name.endswith(ending) and isinstance(value, Real):
            return name.removesuffix(ending).replace("_", " "), f"{number(value)}\N{NO-BREAK SPACE}{unit}"
    return name.replace("_", " "), number(value)


def _decimal(value: float, digits: int) -> str:
    if not math.isfinite(value) or (value != 0 and not 1e-3 <= abs(value) < 1e6):
        return f"{value:.{digits}g}"
    whole_digits = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:.{max(1, digits - whole_digits)}f}"


def _scaled(value: float, unit: str) -> str:
    thousands = min(4, int(math.log10(max(1.0, abs(value))) // 3))
    return f"{value / 1000**thousands:.3g}\N{NO-BREAK SPACE}{('', 'k', 'M', 'G', 'T')[thousands]}{unit}"
