from __future__ import annotations

import pytest

from src.data.mpp import resolve_mpp
from src.errors import MppMissing


def test_the_table_wins_over_the_file_and_the_file_over_the_default() -> None:
    assert resolve_mpp("s", 0.25, 0.5, 1.0) == (0.25, "table")
    assert resolve_mpp("s", None, 0.5, 1.0) == (0.5, "file")
    assert resolve_mpp("s", None, None, 1.0) == (1.0, "default")


def test_unknown_mpp_names_the_slide_and_the_column() -> None:
    with pytest.raises(MppMissing, match=r"^TCGA-A1: .*column mpp.*default_mpp$"):
        resolve_mpp("TCGA-A1", None, None, None)


@pytest.mark.parametrize("mpp", [0.0, -0.5, 0.049, 20.1, 1e6, float("nan"), float("inf")])
@pytest.mark.parametrize("source", ["table", "file", "default"])
def test_implausible_mpp_is_refused_wherever_it_comes_from(mpp: float, source: str) -> None:
    stated: dict[str, float | None] = {"table": None, "file": None, "default": None, source: mpp}
    with pytest.raises(MppMissing) as refusal:
        resolve_mpp("slide-7", **stated)
    message = str(refusal.value)
    assert "slide-7" in message
    assert f"{mpp:g}" in message
    assert source in message
    assert "column mpp" in message
    assert "\n" not in message


def test_an_implausible_value_is_not_replaced_by_the_default() -> None:
    with pytest.raises(MppMissing, match="the file states 352"):
        resolve_mpp("s", None, 352.8, 0.5)


@pytest.mark.parametrize("mpp", [0.05, 20.0])
def test_the_bounds_themselves_are_plausible(mpp: float) -> None:
    assert resolve_mpp("s", mpp, None, None) == (mpp, "table")
