from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import engine_measurement
from benchmarks.engine_measurement import ENGINES, Measurement, measured
from benchmarks.engine_slides import Slides, drawn
from benchmarks.engines import run
from benchmarks.plain import PlainHit, PlainSlide
from src.interfaces import FeatureStore

every_engine = pytest.mark.parametrize("name", ENGINES)


@pytest.fixture(scope="module")
def slides() -> Slides:
    return drawn(32, n_patches=20, dim=128)


@every_engine
def test_an_engine_answers_as_its_plain_reading(slides: Slides, name: str) -> None:
    measurement = measured(name, slides, n_queries=5, plain_s=60.0)
    assert measurement.n_compared == measurement.n_queries == 5
    assert measurement.n_empty < 5
    assert measurement.n_vectors == measurement.vectors_per_slide * 32


class Wrong:
    """Names what nobody would."""

    def __init__(self, database: list[PlainSlide]) -> None:
        self.hits = [PlainHit(slide.slide_id, 0.0) for slide in database]

    def rank(self, query: PlainSlide, k: int) -> list[PlainHit]:
        return self.hits[:k]


@every_engine
def test_an_engine_that_answers_otherwise_ends_the_run(
    slides: Slides, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: Callable[[list[PlainSlide]], Wrong] = Wrong
    monkeypatch.setitem(engine_measurement.ENGINES, name, replace(ENGINES[name], plain=plain))
    with pytest.raises(ValueError, match="the engine answers"):
        measured(name, slides, n_queries=1, plain_s=1.0)


def test_a_run_writes_a_line_per_engine_and_a_table(slides: Slides, tmp_path: Path) -> None:
    path = tmp_path / "input.npz"
    np.savez(path, **{field.name: getattr(slides, field.name) for field in fields(slides) if field.name != "with_keys"})
    options = {"input": path, "out": tmp_path / "out", "queries": 2, "plain_s": 1.0, "patches": 20}
    table = run(Namespace(engines=["yottixel"], slides=[], **options))
    (line,) = (tmp_path / "out" / "engines.jsonl").read_text().splitlines()
    assert Measurement(**json.loads(line)).n_slides == 32
    assert table["n_queries"].tolist() == [2]
    assert (tmp_path / "out" / "engines.md").read_text().startswith("| engine | slides |")


def test_slides_are_a_feature_store_with_two_slides_per_patient() -> None:
    slides = drawn(32, n_patches=9, dim=16)
    assert isinstance(slides, FeatureStore)
    patients, counts = np.unique(slides.patient, return_counts=True)
    assert len(patients) == 16
    assert set(counts) == {2}
    assert slides.load("s00003").features.shape == (9, 16)
    keyed = replace(slides, with_keys=True).load("s00003").features
    assert keyed.shape == (9, 19)
    assert (keyed[:, :3].astype(np.int64) @ [1, 10**6, 10**11]).tolist() == slides.sish_index[3].tolist()
