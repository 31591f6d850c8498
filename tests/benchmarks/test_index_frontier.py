from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.frontier_report import draw, markdown, verdicts
from benchmarks.frontier_systems import FLAT, HERE, HNSWLIB, OURS, RABITQ, apply, systems
from benchmarks.index_frontier import _is_chosen, _measured
from benchmarks.loaded_memory import anonymous_bytes, loaded_bytes
from benchmarks.mixture import mixture_vectors
from src.index.indexes.exact_nearest import ExactNearest
from src.index.indexes.flat import Flat
from src.index.indexes.rerank import Rerank
from src.interfaces import Codes


def point(data: str, index: str, setting: str, recall: float, ms: float, n_rows: int = 10) -> dict[str, object]:
    sizes = {
        "bytes_per_vector": 40.0,
        "resident_bytes_per_vector": 44.0,
        "build_s": 2.0,
        "overhead_MB": 1.0,
        "bound_ms": 2.0,
    }
    own = {"data": data, "index": index, "setting": setting, "n_rows": n_rows}
    return {**own, "tuning_recall": recall, "tuning_ms": ms, "recall": recall, "query_ms": ms, **sizes}


@pytest.fixture
def table() -> pd.DataFrame:
    rows = [
        point("real", HERE, "nprobe 32", 0.4, 1.0),
        point("real", RABITQ, "nprobe 8", 0.8, 0.1),
        point("real", RABITQ, "nprobe 16", 0.96, 0.5),
        point("real", RABITQ, "nprobe 64", 0.99, 0.9),
        point("real", OURS, "nprobe 16", 0.97, 0.5),
        point("real", HNSWLIB, "ef_search 9", 0.93, 0.25),
        point("real", FLAT, "", 1.0, 3.0),
        point("mixture, 10", OURS, "nprobe 4", 0.97, 0.2, 10),
        point("mixture, 40", OURS, "nprobe 4", 0.97, 0.3, 40),
    ]
    tables = [own.assign(is_chosen=_is_chosen(own)) for _, own in pd.DataFrame(rows).groupby("data", sort=False)]
    return pd.concat(tables, ignore_index=True)


def test_fastest_setting_that_reaches_the_target_is_chosen_or_the_one_of_most_recall(table: pd.DataFrame) -> None:
    chosen = table[table["is_chosen"] & (table["data"] == "real")].set_index("index")["setting"].to_dict()
    assert chosen == {HERE: "nprobe 32", RABITQ: "nprobe 16", OURS: "nprobe 16", HNSWLIB: "ef_search 9", FLAT: ""}


def test_verdicts_are_ratios_of_the_chosen_settings(table: pd.DataFrame) -> None:
    text = "\n".join(verdicts(table))
    assert "against HERE at nprobe 32: recall 0.960 to 0.400, 1.00x bytes (1.00x resident), 0.50x time" in text
    assert "against hnswlib (ef_search 9, recall 0.930): 1/1.0 of its bytes (1/1.0 resident), 2.00x time" in text
    assert "exact search takes 3.00 ms, a plain pass over the vectors 2.00 ms: 1.50x" in text
    assert f"{OURS} (nprobe 4), 10 to 40 rows: 1.50x time per query" in text


def test_plain_passes_are_timed_between_exact_searches() -> None:
    vectors, index = next(mixture_vectors(60, 1)), Flat("l2")
    index.add(Codes(vectors))
    asked = ExactNearest(vectors[:25], 10)
    asked.add(vectors)
    assert _measured(index, {}, asked, lambda: 7.0)[::2] == (1.0, [7.0, 7.0, 7.0])
    assert _measured(index, {}, asked, None)[::2] == (1.0, [])


def test_every_data_set_has_a_panel_and_every_setting_a_line(table: pd.DataFrame) -> None:
    assert [axes.get_title("left") for axes in draw(table).axes] == ["real", "mixture, 10", "mixture, 40"]
    assert len(markdown(table).splitlines()) == len(table) + 2


def test_settings_reach_the_index_and_its_base() -> None:
    system = systems((OURS,))[0]
    index = system.make(4)
    apply(index, {"base.nprobe": 3, "n_candidates": 7})
    assert isinstance(index, Rerank)
    assert (index.base.nprobe, index.n_candidates) == (3, 7)  # type: ignore[attr-defined]


def test_mixture_is_the_same_for_a_seed_and_of_length_one() -> None:
    one, same, other = (next(mixture_vectors(50, seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-6)


def test_no_dimension_of_the_mixture_is_special() -> None:
    variances = next(mixture_vectors(2_000, 1)).var(axis=0)
    assert variances.max() < 20 * variances.min()


@pytest.mark.skipif(anonymous_bytes() == 0, reason="memory is read from a Linux kernel")
def test_loaded_index_takes_its_file_and_a_table(tmp_path: Path) -> None:
    """HERE's: 40 bytes a row, and 4 MB of inner products of 128 centroids with 32 x 256 others."""
    index = systems((HERE,))[0].make(1)
    vectors = Codes(next(mixture_vectors(10_000, 1)))
    index.train(vectors)
    for _ in range(10):
        index.add(vectors)
    index.save(tmp_path / "index")
    assert 4e6 < loaded_bytes(HERE, tmp_path / "index") < 12e6
