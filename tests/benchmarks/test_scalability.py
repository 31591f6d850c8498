from __future__ import annotations

from pathlib import Path

import pandas as pd
import PIL.Image
import pytest

from benchmarks import scalability


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a small run writes; both sizes are fitted on as many vectors."""
    folder = tmp_path_factory.mktemp("scalability")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scalability, "_MAX_TRAINING", 1_000)
        scalability.run([2_000, 1_000], 2, folder)
    return folder


def test_every_index_is_measured_at_every_size(folder: Path) -> None:
    table = pd.read_csv(folder / "scalability.csv")
    assert {name: own.tolist() for name, own in table.groupby("index")["n_rows"]} == {
        name: [1_000, 2_000] for name in scalability.INDEXES
    }
    assert (table[["size_bytes", "build_s", "query_median_ms"]] > 0).all(axis=None)
    with PIL.Image.open(folder / "scalability.png") as image:
        assert image.format == "PNG"


def test_a_row_costs_what_the_paper_says(folder: Path) -> None:
    """40 bytes deployed (32 of code, 8 of id), 8 for 64 bits, 1,024 for 256 numbers."""
    table = pd.read_csv(folder / "scalability.csv")
    grown = {name: own.diff().iloc[-1] / 1_000 for name, own in table.groupby("index")["size_bytes"]}
    assert grown == pytest.approx({"flat": 1024, "itq_lsh 64": 8, "hnsw_ivfpq, as deployed": 40}, rel=0.02)
