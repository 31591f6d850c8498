from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import IndexMismatch
from src.index.background import Background, DrawnBackground, significance_of_hits
from src.index.codes.l2 import L2
from src.index.codes.raw import Raw
from src.index.engine import RetrievalEngine
from src.index.folder import MANIFEST_FILE
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.indexes.itq_lsh import ItqLsh
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.nearest_patch import NearestPatch
from src.index.rankers.patches import Patches
from src.interfaces import Code, Codes, Hit, Index, Ranker, Ranking, SlideFeatures
from tests.index.databases import MemoryStore, random_database, slide_of, unit_vectors
from tests.index.test_engine import SAMPLE

DRAW = Background(n=200, seed=3)


def built(
    index: Index, code: Code | None = None, background: Background | None = DRAW, official: bool = False
) -> RetrievalEngine:
    ranking: Ranker = NearestPatch(3)
    engine = RetrievalEngine("e", AllPatches(), code or L2(), index, ranking, SAMPLE, background, official)
    engine.build(random_database(0, [20] * 5))
    return engine


def query(n: int = 1) -> SlideFeatures:
    return slide_of("q", np.random.default_rng(9).normal(size=(n, 32)))


def drawn_vectors() -> np.ndarray:
    """What the background should be, from the definition."""
    pool = np.concatenate([features for _, features in SAMPLE.draw(random_database(0, [20] * 5))])
    unit = pool / np.linalg.norm(pool, axis=1, keepdims=True)
    return np.asarray(unit[np.random.default_rng(3).choice(len(unit), size=200, replace=True)])


def ranking_of(distances: np.ndarray) -> Ranking:
    hits = [Hit("s", "p", i, 0, float(distance), -float(i)) for i, distance in enumerate(distances)]
    return Ranking("q", tuple(hits))


@pytest.mark.golden
@pytest.mark.parametrize(("official", "name"), [(False, "paper"), (True, "web")])
def test_z_and_p_of_a_search_are_those_of_here(golden_dir: Path, official: bool, name: str) -> None:
    with np.load(golden_dir / "here_significance.npz", allow_pickle=False) as recorded:
        store = MemoryStore([slide_of("database", recorded["database"])])
        parts = (AllPatches(), Raw(), Flat("l2"), Patches(1), SAMPLE)
        engine = RetrievalEngine("e", *parts, DRAW, official)
        engine.build(store)
        engine._records = replace(engine.records, background=DrawnBackground(Codes(recorded["background"])))
        asked = slide_of("q", recorded["query"])
        ranking = engine.search(asked, len(recorded["top_index"]))
        found = engine.significance_of(asked, ranking)
        assert found is not None
        assert [hit.x // 256 for hit in ranking] == recorded["top_index"].tolist()
        np.testing.assert_allclose(found.z, recorded[f"{name}_z"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.p, recorded[f"{name}_p"], atol=1e-4)


@pytest.mark.golden
def test_mean_and_std_of_the_background_are_those_of_the_ranking(golden_dir: Path) -> None:
    recorded = json.loads((golden_dir / "here_ranking.json").read_text())
    with np.load(golden_dir / "here_significance.npz", allow_pickle=False) as vectors:
        queries, background = Codes(vectors["query"]), Codes(vectors["background"])
        found = significance_of_hits(queries, background, ranking_of(vectors["faiss_sq_l2"]), Flat("l2"))
    assert found is not None
    assert found.background_mean == pytest.approx(recorded["bg_mean"], abs=1e-5)
    assert found.background_std == pytest.approx(recorded["bg_std_ddof0"], abs=1e-5)


@pytest.mark.parametrize("n_queries", [1, 4])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_hits_and_background_are_as_far_as_the_nearest_query_code(metric: str, n_queries: int) -> None:
    engine, asked = built(Flat(metric)), query(n_queries)
    ranking = engine.search(asked, 5)
    found = engine.significance_of(asked, ranking)
    unit = asked.features / np.linalg.norm(asked.features, axis=1, keepdims=True)
    background = np.linalg.norm(drawn_vectors()[:, None] - unit[None], axis=2).min(axis=1)
    factor = 2 if metric == "cosine" else 1
    hits = np.sqrt([factor * hit.distance for hit in ranking])
    assert found is not None
    np.testing.assert_allclose(found.z, (hits - background.mean()) / background.std(), rtol=1e-4)
    np.testing.assert_allclose(found.p, [(background <= hit + 1e-6).mean() for hit in hits])


@pytest.mark.parametrize("n_queries", [1, 3])
def test_hamming_distances_are_compared_with_hamming_distances(n_queries: int) -> None:
    engine, asked = built(ItqLsh(32), official=True), query(n_queries)
    ranking = engine.search(asked, 5)
    found = engine.significance_of(asked, ranking)
    assert isinstance(engine.index, ItqLsh)
    hashes = [engine.index.hashed(L2().encode(vectors)).values for vectors in (drawn_vectors(), asked.features)]
    signs = [np.unpackbits(values, axis=1) for values in hashes]
    background = (signs[0][:, None] != signs[1][None]).sum(axis=2).min(axis=1)
    hits = np.array([hit.distance for hit in ranking])
    assert found is not None
    np.testing.assert_allclose(found.z, (hits - background.mean()) / background.std())
    assert found.p.tolist() == [(background <= hit).mean() for hit in hits]


def test_barcodes_are_compared_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    queries, background = (Codes(rng.integers(0, 256, (n, 4), dtype=np.uint8), 29) for n in (2, 50))
    bits = [np.unpackbits(codes.values, axis=1) for codes in (queries, background)]
    expected = (bits[1][:, None] != bits[0][None]).sum(axis=2).min(axis=1)
    found = significance_of_hits(queries, background, ranking_of(np.array([5.0])), Flat("l2"))
    assert found is not None
    assert found.background_mean == pytest.approx(expected.mean())
    assert found.p.tolist() == [(expected <= 5).mean()]


def test_approximate_distances_are_judged_too() -> None:
    index = HnswIvfPq(M=8, m=8, nlist=2, nbits=4, nprobe=2, efSearch=16, efConstruction=40)
    engine, asked = built(index), query()
    found = engine.significance_of(asked, engine.search(asked, 5))
    assert found is not None
    assert (found.z < 0).any()


def test_no_hits_have_no_significance_and_raise_nothing() -> None:
    engine = built(Flat("cosine"))
    found = engine.significance_of(query(), Ranking("q", ()))
    assert found is not None
    assert len(found.z) == 0


@pytest.mark.parametrize("n", [None, 7])
def test_a_background_is_drawn_from_the_sample_of_any_kind_of_code(n: int | None) -> None:
    pool = Codes(np.arange(40, dtype=np.uint8).reshape(20, 2), 16)
    background = Background(n, seed=1).draw(pool, [str(row) for row in range(20)])
    drawn = background.codes
    assert drawn.kind == "binary"
    assert len(drawn) == (n or 20)
    assert background.slides is not None
    assert np.array_equal(drawn.values, pool.values[background.slides.astype(int)])


def test_a_loaded_engine_judges_as_the_one_that_was_saved(tmp_path: Path) -> None:
    engine = built(Flat("cosine"))
    engine.save(tmp_path / "index")
    again = RetrievalEngine("e", AllPatches(), L2(), Flat("cosine"), NearestPatch(3), SAMPLE)
    again.load(tmp_path / "index")
    ranking = engine.search(query(), 5)
    ours, theirs = engine.significance_of(query(), ranking), again.significance_of(query(), ranking)
    assert ours is not None
    assert theirs is not None
    np.testing.assert_array_equal(ours.z, theirs.z)
    assert "background.npy" in json.loads((tmp_path / "index" / MANIFEST_FILE).read_text())["sha256"]


def test_an_index_without_a_background_is_searched_and_says_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    built(Flat("cosine"), background=None).save(tmp_path / "index")
    engine = RetrievalEngine("e", AllPatches(), L2(), Flat("cosine"), NearestPatch(3), SAMPLE, DRAW)
    with caplog.at_level("INFO"):
        engine.load(tmp_path / "index")
    assert "has no background, so its hits have no z and p" in caplog.text
    assert engine.significance_of(query(), engine.search(query(), 3)) is None


class Guided(Flat):
    """States a distance of its own."""

    def __init__(self) -> None:
        super().__init__("cosine")
        self.distance_unit = "steps"


def test_a_distance_that_is_not_known_has_no_significance() -> None:
    engine = built(Guided())
    assert engine.significance_of(query(), engine.search(query(), 3)) is None


def test_a_database_of_one_patch_has_no_significance() -> None:
    parts: Any = (AllPatches(), L2(), Flat("cosine"), NearestPatch(3), SAMPLE, DRAW)
    engine = RetrievalEngine("e", *parts)
    engine.build(MemoryStore([slide_of("a", unit_vectors(0, 1, 32))]))
    assert engine.significance_of(query(), engine.search(query(), 1)) is None


def test_a_damaged_background_is_named_before_it_is_read(tmp_path: Path) -> None:
    engine = built(Flat("cosine"))
    engine.save(tmp_path / "index")
    (tmp_path / "index" / "background.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(IndexMismatch, match=r"background\.npy has SHA-256"):
        RetrievalEngine("e", AllPatches(), L2(), Flat("cosine"), NearestPatch(3), SAMPLE).load(tmp_path / "index")
