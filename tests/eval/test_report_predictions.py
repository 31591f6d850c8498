from __future__ import annotations

import numpy as np
import pytest

from src.eval.report.predictions import class_bars, notable, number_bars
from src.models.predicted import Predicted


def numbers(*values: float) -> list[Predicted]:
    return [Predicted(f"HALLMARK_{value}_sum", "number", value) for value in values]


def test_most_probable_class_comes_first_and_a_full_row_is_one() -> None:
    classes = [Predicted("a", "class", 0.2, "loss"), Predicted("b", "class", 0.8, "gain")]
    bars = class_bars([*numbers(3.0), *classes])
    assert [bar.name for bar in bars] == ["b gain", "a loss"]
    assert [bar.length for bar in bars] == [80.0, 20.0]


def test_numbers_start_in_the_middle_and_the_largest_reaches_an_end() -> None:
    bars = number_bars(numbers(-2.0, 0.0, 1.0))
    assert [(bar.value, bar.start, bar.length) for bar in bars] == [(1, 50, 25), (0, 50, 0), (-2, 0, 50)]


def test_numbers_that_are_all_zero_have_no_bars() -> None:
    assert [bar.length for bar in number_bars(numbers(0.0, 0.0))] == [0, 0]


@pytest.mark.parametrize("n", range(9))
def test_no_number_is_called_both_high_and_low(n: int) -> None:
    found = notable(numbers(*np.arange(n, dtype=float).tolist()))
    high, low = ([target.value for target in found[kind]] for kind in ("highest", "lowest"))
    assert len(high) == min(3, n)
    assert len(low) == min(3, max(0, n - 3))
    assert not set(high) & set(low)
    assert min(high, default=0) >= max(low, default=0)
