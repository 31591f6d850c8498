from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError
from src.index.indexes import milvus_filter
from src.index.indexes.milvus_filter import filter_of
from src.index.indexes.row_keys import Choice, RowKeys, keys_in


@st.composite
def lives(draw: st.DrawFn) -> tuple[RowKeys, np.ndarray, np.ndarray]:
    """The keys of an index whose parts came and whose rows left, those keys in a list, and a mask over its rows."""
    keys, expected, next_key = RowKeys(), np.zeros(0, np.int64), 0
    for part, size in enumerate(draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))):
        keys = keys.appended(size, next_key, part)
        expected = np.append(expected, np.arange(next_key, next_key + size))
        next_key += size + draw(st.integers(0, 3))
        is_kept = np.array(draw(st.lists(st.booleans(), min_size=len(expected), max_size=len(expected))), dtype=bool)
        if is_kept.any():
            keys, expected = RowKeys(keys.of_rows(is_kept)), expected[is_kept]
    mask = np.array(draw(st.lists(st.booleans(), min_size=len(expected), max_size=len(expected))), dtype=bool)
    return keys, expected, mask


@given(lives())
def test_keys_are_those_of_the_rows_that_stayed(life: tuple[RowKeys, np.ndarray, np.ndarray]) -> None:
    keys, expected, mask = life
    assert len(keys) == len(expected)
    np.testing.assert_array_equal(keys_in(keys.runs), expected)
    np.testing.assert_array_equal(keys_in(keys.of_rows(mask)), expected[mask])
    every = np.arange(expected.max() + 3)[None]
    row_of = {key: row for row, key in enumerate(expected.tolist())}
    np.testing.assert_array_equal(keys.rows_of(every)[0], [row_of.get(key, -1) for key in every[0].tolist()])


@given(lives())
def test_milvus_is_told_to_let_through_what_is_allowed_and_nothing_else(
    life: tuple[RowKeys, np.ndarray, np.ndarray],
) -> None:
    keys, expected, mask = life
    told = filter_of(Choice(keys.of_rows(mask), keys.of_rows(~mask))) or "True"
    parts = np.concatenate([np.full(end - first, part) for first, end, part in keys.runs])
    let_through = [eval(told, {"id": key, "part": part}) for key, part in zip(expected, parts, strict=True)]
    assert let_through == mask.tolist()


def choice_of(excluded: np.ndarray, part_size: int) -> Choice:
    keys = RowKeys()
    for part, start in enumerate(range(0, len(excluded), part_size)):
        keys = keys.appended(part_size, start, part)
    return Choice(keys.of_rows(~excluded), keys.of_rows(excluded))


def test_a_patient_is_a_few_numbers() -> None:
    excluded = np.arange(5000) // 100 == 7
    assert filter_of(choice_of(excluded, 100)) == "part not in [7]"
    assert filter_of(choice_of(~excluded, 100)) == "part in [7]"


def test_too_many_rows_of_divided_slides_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_filter, "_MOST_KEYS", 20)
    with pytest.raises(ConfigError, match=r"leaves out 50 rows, but not the whole slides .*; leave out whole slides"):
        filter_of(choice_of(np.arange(100) % 2 == 0, 10))
