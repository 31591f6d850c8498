"""The guided search against the official answers, and against a plain walk over the keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError, IncompatibleParts
from src.index.indexes.guided import Guided
from src.index.indexes.key_order import KeyOrder
from src.interfaces import Codes, Index
from src.models.vqvae.integer_key import SUM_STEP

OFFICIAL: dict[str, Any] = {
    **{"n_seeds": 10, "sum_step": 50, "pre_step": 375, "succ_step": 375, "max_distance": 128},
    **{"include_equal_key": False, "all_entries_per_key": False},
}


def built(codes: Codes, **changed: Any) -> Guided:
    index = Guided(**{**OFFICIAL, **changed})
    index.add(codes)
    return index


def codes_of(keys: Any, barcodes: Any, n_bits: int = 1024) -> Codes:
    return Codes(np.asarray(barcodes, np.uint8), n_bits, np.asarray(keys, np.int64))


def random_codes(seed: int, n: int, n_keys: int = 40) -> Codes:
    """Barcodes of 64 bits at keys near each other; several of a key and equal ones among them."""
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 400, n_keys)[rng.integers(0, n_keys, n)] * (SUM_STEP // 4)
    return codes_of(keys, rng.integers(0, 4, (n, 8)) * 17, 64)


def hamming(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.unpackbits(a ^ b).sum())


def walked(codes: Codes, key: int, barcode: np.ndarray, excluded: np.ndarray, settings: dict[str, Any]) -> list[int]:
    """Rows in the order of discovery, one key after the other as the specification says."""
    assert codes.keys is not None
    keys = sorted(set(codes.keys.tolist()))
    steps = [settings["sum_step"] * SUM_STEP * t for t in range(settings["n_seeds"])]
    visited: set[int] = set()
    found: list[int] = []
    for seed in [key - step for step in steps] + [key + step for step in steps]:
        below = [one for one in reversed(keys) if one < seed]
        above = [one for one in keys if one > seed or (one == seed and settings["include_equal_key"])]
        for path, most in ((below, settings["pre_step"]), (above, settings["succ_step"])):
            n_seen = 0
            for one in path:
                if one in visited or n_seen == most:
                    break
                rows = [row for row in np.flatnonzero(codes.keys == one).tolist() if not excluded[row]]
                if not rows:
                    continue
                n_seen += 1
                near = [row for row in rows if hamming(codes.values[row], barcode) <= settings["max_distance"]]
                if near:
                    visited.add(one)
                    nearest = min(near, key=lambda row: hamming(codes.values[row], barcode))
                    found += near if settings["all_entries_per_key"] else [nearest]
    return found


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    settings=st.fixed_dictionaries(
        {
            "n_seeds": st.integers(1, 4),
            "sum_step": st.integers(1, 60),
            "pre_step": st.integers(0, 6),
            "succ_step": st.integers(0, 6),
            "max_distance": st.integers(0, 40),
            "include_equal_key": st.booleans(),
            "all_entries_per_key": st.booleans(),
        }
    ),
)
def test_it_discovers_what_a_plain_walk_discovers(seed: int, n: int, settings: dict[str, Any]) -> None:
    codes, queries = random_codes(seed, n), random_codes(seed + 1, 5)
    excluded = np.random.default_rng(seed).random(n) < 0.3
    found = built(codes, **settings).discovered(queries, excluded)
    assert queries.keys is not None
    for query, (rows, distances) in enumerate(found):
        expected = walked(codes, int(queries.keys[query]), queries.values[query], excluded, settings)
        assert rows.tolist() == expected
        assert distances.tolist() == [hamming(codes.values[row], queries.values[query]) for row in expected]


@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), k=st.integers(1, 70))
def test_answers_are_the_nearest_of_what_was_discovered(seed: int, n: int, k: int) -> None:
    index, queries = built(random_codes(seed, n), max_distance=30), random_codes(seed + 1, 4)
    neighbours = index.search(queries, k)
    assert neighbours.rows.shape[1] <= k
    for query, found in enumerate(index.discovered(queries)):
        order = np.argsort(found.distances, kind="stable")[:k]
        n_found = len(order)
        assert neighbours.rows[query, :n_found].tolist() == found.rows[order].tolist()
        assert neighbours.distances[query, :n_found].tolist() == found.distances[order].tolist()
        assert (neighbours.rows[query, n_found:] == -1).all()
        assert np.isinf(neighbours.distances[query, n_found:]).all()


@given(seed=st.integers(0, 10**6), n=st.integers(1, 60))
def test_rows_can_be_added_in_parts_and_saved(seed: int, n: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    codes, queries = random_codes(seed, n), random_codes(seed + 1, 3)
    whole, parts, loaded = built(codes), Guided(**OFFICIAL), Guided(**OFFICIAL)
    for row in range(n):
        parts.add(codes.take(slice(row, row + 1)))
        if row == n // 2:
            parts.search(queries, 3)
    path = tmp_path_factory.mktemp("guided") / "index"
    parts.save(path)
    loaded.load(path)
    for index in (parts, loaded):
        assert len(index) == n
        assert index.search(queries, 9).rows.tolist() == whole.search(queries, 9).rows.tolist()
        assert index.describe() == whole.describe()


def test_it_is_an_index_of_keyed_codes() -> None:
    assert isinstance(Guided(**OFFICIAL), Index)
    with pytest.raises(IncompatibleParts, match="guided takes keyed codes, got binary"):
        built(Codes(np.zeros((1, 8), np.uint8), 64))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="index guided: n_seeds is 0, expected at least 1"):
        Guided(**{**OFFICIAL, "n_seeds": 0})


def test_the_own_key_is_stepped_over_unless_asked_for() -> None:
    codes = codes_of([7 * SUM_STEP], np.zeros((1, 8)), 64)
    assert built(codes, n_seeds=1).search(codes, 1).rows.tolist() == [[-1]]
    assert built(codes, n_seeds=1, include_equal_key=True).search(codes, 1).rows.tolist() == [[0]]
    assert built(codes, n_seeds=2).search(codes, 1).rows.tolist() == [[0]], "the next seed is below it"


def test_of_one_key_the_nearest_is_answered_or_all() -> None:
    barcodes = np.array([[3], [1], [0]], np.uint8).repeat(8, axis=1)
    codes, query = codes_of([SUM_STEP] * 3, barcodes, 64), codes_of([0], np.zeros((1, 8)), 64)
    assert built(codes).search(query, 3).rows[0].tolist() == [2, -1]
    assert built(codes, all_entries_per_key=True).search(query, 3).rows[0].tolist() == [2, 1, 0]


def test_a_key_below_zero_has_no_predecessor() -> None:
    order = KeyOrder.of(np.array([5, 9]))
    assert order.n_below(np.array([-1])).tolist() == order.n_up_to(np.array([-1])).tolist() == [0]


@pytest.mark.golden
def test_neighbours_of_keys_are_those_of_the_official_tree(golden_dir: Path) -> None:
    for case in json.loads((golden_dir / "g2_veb.json").read_text()):
        order = KeyOrder.of(np.array(case["keys"], np.int64))
        wanted = np.array(case["queries"], np.int64)
        n_below, n_up_to = order.n_below(wanted), order.n_up_to(wanted)
        before = [int(order.keys[n - 1]) if n else None for n in n_below]
        after = [int(order.keys[n]) if n < len(order) else None for n in n_up_to]
        # Where the tree is small, its answers for keys below zero are not among its keys.
        known = [p if p is None or p in case["keys"] else None for p in case["predecessor"]]
        assert before == known, case["name"]
        assert after == case["successor"], case["name"]
        assert (int(order.keys[0]), int(order.keys[-1])) == (case["min"], case["max"])


@pytest.mark.golden
def test_every_recorded_query_of_slides_is_answered_alike(golden_dir: Path) -> None:
    with np.load(golden_dir / "g3_sish_query.npz", allow_pickle=False) as recorded:
        db = {name: recorded[name] for name in recorded}
    codes = codes_of(db["db_key"], db["db_barcode_packed"])
    index, patient = built(codes), db["slide_patient"][db["db_slide"]]
    for slide in np.unique(db["query_slide"]):
        asked = np.flatnonzero(db["query_slide"] == slide)
        own = np.flatnonzero(db["db_slide"] == slide)[db["query_mosaic"][asked]]
        found = index.discovered(codes.take(own), excluded=patient == db["slide_patient"][slide])
        answers = index.search(codes.take(own), len(codes), excluded=patient == db["slide_patient"][slide])
        for place, query in enumerate(asked):
            discovered = slice(*db["discovery_offset"][query : query + 2])
            sorted_ = slice(*db["res_offset"][query : query + 2])
            n_found = sorted_.stop - sorted_.start
            assert found[place].rows.tolist() == db["discovery_entry"][discovered].tolist()
            assert answers.rows[place, :n_found].tolist() == db["res_entry"][sorted_].tolist()
            assert answers.distances[place, :n_found].tolist() == db["res_hamming"][sorted_].tolist()
            assert (answers.rows[place, n_found:] == -1).all()


@pytest.mark.golden
def test_every_recorded_query_of_patches_is_answered_alike(golden_dir: Path) -> None:
    with np.load(golden_dir / "g3b_sish_patch_inputs.npz", allow_pickle=False) as recorded:
        codes, labels = codes_of(recorded["key"], recorded["barcode_packed"]), recorded["label"]
    index = built(codes)
    for case in json.loads((golden_dir / "g3b_sish_patch_results.json").read_text()):
        answer = index.search(codes.take(np.array([case["query"]])), len(codes))
        n_found = len(case["results"])
        pairs = list(zip(answer.rows[0].tolist(), answer.distances[0].tolist(), strict=True))
        assert pairs[:n_found] == [tuple(pair) for pair in case["results"]]
        assert all(row == -1 for row, _ in pairs[n_found:])
        others = [(distance, labels[row], row) for row, distance in pairs[:n_found] if row != case["query"]][:5]
        assert others == [tuple(hit) for hit in case["top5"]]
