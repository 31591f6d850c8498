from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.errors import ConfigError
from src.index.codes.pathsearch import barcodes
from src.index.indexes.binary_flat import BinaryFlat
from src.index.rankers.barcodes_and_semantics import BarcodesAndSemantics
from src.index.widening import neighbours_for
from src.interfaces import Codes, Ranking, Rows


def fitted(slides: Sequence[Codes], weight: float | int = 200) -> tuple[BarcodesAndSemantics, BinaryFlat, Rows]:
    index, ranking = BinaryFlat(), BarcodesAndSemantics(weight)
    for codes in slides:
        index.add(codes)
    slide_of_row = np.repeat(np.arange(len(slides)), [len(codes) for codes in slides])
    names = tuple(f"s{i:03d}" for i in range(len(slides)))
    rows = Rows(names, names, slide_of_row, np.zeros((len(slide_of_row), 2), dtype=np.int64))
    summaries = np.concatenate([codes.summaries for codes in slides if codes.summaries is not None])
    ranking.fit(replace(slides[0], summaries=summaries), index, rows)
    return ranking, index, rows


def asked(parts: tuple[BarcodesAndSemantics, BinaryFlat, Rows], query: Codes, own: int | None = None) -> Ranking:
    ranking, index, rows = parts
    is_excluded = None if own is None else rows.slide_of_row == own
    neighbours = neighbours_for(ranking, index, rows, query, len(rows.slide_ids), is_excluded)
    assert query.summaries is not None
    return ranking.rank("q", replace(neighbours, query_summary=query.summaries[0]), rows, len(rows.slide_ids))


def random_slides(n: int = 6, dim: int = 24) -> list[Codes]:
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(n, 5, dim)).astype(np.float32)
    return [barcodes(vectors[:4], vectors[4:]) for vectors in drawn]


def recorded(golden_dir: Path) -> tuple[list[Codes], dict[str, np.ndarray]]:
    with np.load(golden_dir / "pathsearch_bob.npz", allow_pickle=False) as file:
        values = {name: file[name] for name in file.files}
    pairs = zip(values["mosaic"], values["global_"], strict=True)
    return [barcodes(mosaic, whole[None]) for mosaic, whole in pairs], values


@pytest.mark.golden
def test_recorded_barcodes(golden_dir: Path) -> None:
    slides, values = recorded(golden_dir)
    bits = [np.unpackbits(codes.values, axis=1, count=codes.n_bits) for codes in slides]
    np.testing.assert_array_equal(bits, values["barcodes"])


@pytest.mark.golden
@pytest.mark.parametrize(("name", "weight"), [("hamming_median", 0), ("distance", 200)])
def test_recorded_distances_of_all_slides(golden_dir: Path, name: str, weight: int) -> None:
    slides, values = recorded(golden_dir)
    parts = fitted(slides, weight)
    for query, expected in zip(slides, values[name], strict=True):
        found = {hit.slide_id: -hit.score for hit in asked(parts, query)}
        np.testing.assert_allclose([found[slide] for slide in parts[2].slide_ids], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.golden
def test_recorded_rankings_leave_one_out(golden_dir: Path) -> None:
    slides, values = recorded(golden_dir)
    parts = fitted(slides)
    for own, (query, expected) in enumerate(zip(slides, values["ranking"], strict=True)):
        found = [parts[2].slide_ids.index(hit.slide_id) for hit in asked(parts, query, own)]
        assert found == expected.tolist()


def test_weight_zero_counts_barcodes_alone_and_a_large_one_the_slides() -> None:
    slides = random_slides()
    query = replace(slides[2], summaries=slides[4].summaries)
    assert asked(fitted(slides, 0.0), query).hits[0].slide_id == "s002"
    assert asked(fitted(slides, 1e4), query).hits[0].slide_id == "s004"


def test_what_was_fitted_is_restored() -> None:
    slides = random_slides()
    ranking, index, rows = fitted(slides)
    restored = BarcodesAndSemantics(ranking.semantic_weight)
    restored.restore(ranking.state())
    assert asked((restored, index, rows), slides[1]) == asked((ranking, index, rows), slides[1])


def test_a_vector_finds_the_slides_that_point_its_way() -> None:
    slides = random_slides()
    ranking, _, rows = fitted(slides)
    own = slides[3].summaries
    assert own is not None
    hits = ranking.rank_by_summary("words", own[0], rows, 4).hits
    assert hits[0].slide_id == "s003"
    assert hits[0].score == pytest.approx(1)
    assert len(hits) == 4
    others = ranking.rank_by_summary("words", own[0], rows, 9, rows.slide_of_row == 3).hits
    assert [hit.slide_id for hit in others][:3] == [hit.slide_id for hit in hits[1:]]
    assert len(others) == 5


def test_negative_weight_is_refused() -> None:
    with pytest.raises(ConfigError, match="semantic_weight is -1"):
        BarcodesAndSemantics(-1)
