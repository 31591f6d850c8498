from __future__ import annotations

import numpy as np
import pytest

from src.eval.report.formats import number, quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.031, "-0.031"),
        (0.5, "0.500"),
        (120.2, "120.2"),
        (0.0, "0.000"),
        (1e-7, "1e-07"),
        (float("inf"), "inf"),
        (None, "–"),
        (np.float32("nan"), "–"),
        (np.int64(12345), "12\u00a0345"),
        (True, "True"),
        ("0.10", "0.10"),
    ],
)
def test_number_is_written_for_a_reader(value: object, text: str) -> None:
    assert number(value) == text


def test_unit_moves_from_the_name_behind_the_value() -> None:
    assert quantity("patch_size_px", 256) == ("patch size", "256\u00a0px")
    assert quantity("index_size_bytes", 999) == ("index size", "999\u00a0B")
    assert quantity("index_size_bytes", 2.5e15) == ("index size", "2.5e+03\u00a0TB")
    assert quantity("flops_per_patch", 123_456_000_000) == ("flops per patch", "123\u00a0GFLOP")
    assert quantity("flops_per_patch", None) == ("flops per patch", "–")


def test_name_that_ends_like_a_unit_is_left_alone_when_the_value_is_text() -> None:
    assert quantity("kind_s", "flat") == ("kind s", "flat")
