from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from src.data.extraction import SlideStatus
from src.index.codes.l2 import L2
from src.index.engine import RetrievalEngine
from src.index.indexes.flat import Flat
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.nearest_patch import NearestPatch
from src.index.training_sample import TrainingSample
from src.runs.index_size import index_size
from tests.index.databases import MemoryStore, slide_of


def built() -> RetrievalEngine:
    """Slides of three patches of 256 px and one of 512 px."""
    engine = RetrievalEngine("e", AllPatches(), L2(), Flat("cosine"), NearestPatch(10), TrainingSample(9, 9, 1, 0))
    rng = np.random.default_rng(0)
    engine.build(MemoryStore([slide_of("a", rng.normal(size=(3, 4))), slide_of("b", rng.normal(size=(1, 4)), 512)]))
    return engine


def test_bytes_and_area_are_counted_per_row_and_slide(tmp_path: Path) -> None:
    engine = built()
    engine.save(tmp_path / "index")
    statuses = [SlideStatus("a", "ok", mpp=0.5), SlideStatus("b", "ok", mpp=0.25), SlideStatus("c", "failed")]
    size = index_size(engine, tmp_path / "index", statuses)
    assert (size["n_rows"], size["n_slides"]) == (4, 2)
    assert size["index_size_bytes"] == (tmp_path / "index" / "index.faiss").stat().st_size
    assert size["index_bytes_per_slide"] == pytest.approx(2 * size["index_bytes_per_row"], abs=0.2)
    assert size["area_mm2_per_slide"] == pytest.approx((3 * 0.128**2 + 0.128**2) / 2)


def test_area_of_slides_without_microns_per_pixel_is_not_known(tmp_path: Path) -> None:
    engine = built()
    engine.save(tmp_path / "index")
    assert index_size(engine, tmp_path / "index", [SlideStatus("a", "ok", mpp=0.5)])["area_mm2_per_slide"] is None
