from __future__ import annotations

import time

import numpy as np
import pytest

from src.data.timed_encoder import TimedEncoder
from src.interfaces import Encoder
from tests.data.test_extraction import MeanColour


def test_it_is_the_encoder_with_a_clock() -> None:
    timed = TimedEncoder(MeanColour())
    patches = [np.full((4, 4, 3), value, np.uint8) for value in (10, 20)]
    assert isinstance(timed, Encoder)
    assert timed.fingerprint() == MeanColour().fingerprint()
    assert timed.ms_per_patch is None
    np.testing.assert_array_equal(timed.encode(patches), MeanColour().encode(patches))


def test_the_first_slow_batch_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 9.0, 10.0, 10.5, 11.0, 11.5])  # two patches take nine seconds, then half a second, twice
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    timed = TimedEncoder(MeanColour())
    for _ in range(3):
        timed.encode([np.zeros((4, 4, 3), np.uint8)] * 2)
    assert timed.ms_per_patch == 250
