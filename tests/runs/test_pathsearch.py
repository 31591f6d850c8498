"""PathSearch is trained on slides and reports, and searched with: by a slide, and by words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.runs.conftest import Script
from tests.runs.test_trained_search import SMALL

TRAINING = ["model=pathsearch_small", "patching=grid", "trainer=cpu", "trainer.enable_progress_bar=false"]
TINY = [
    *("model.dim=16", "model.n_mosaics=2"),
    *("pairs.n_patches=16", "pairs.batch_size=4", "pairs.fractions=[0.4,0.1,0.5]"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Slides that are drawn, and features that are made, once for all tests."""
    folder = tmp_path_factory.mktemp("demo")
    return [
        *SMALL,
        "data.n_patients=12",
        "data.width_um=400",
        "data.height_um=300",
        f"paths.data_dir={folder}",
        f"paths.cache_dir={folder}",
    ]


def test_a_trained_pathsearch_finds_slides_and_reports_by_slides_and_by_words(
    script: Script, demo: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, search = tmp_path / "run", tmp_path / "search"
    assert script("train", *TRAINING, *TINY, *demo, "trainer.max_epochs=2", f"hydra.run.dir={run}") == 0
    table = pd.read_csv(run / "cross_modal.csv")
    assert set(table["direction"]) == {"image_to_image", "text_to_image", "image_to_text", "text_to_text"}
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"image_to_text", "text_to_image"} <= set(metrics["test/top1"]["per_class"])
    page = (run / "report.html").read_text()
    assert page.count("<blockquote>") == 6  # as many patients are tested
    assert page.count("<svg") == 2
    assert (run / "projection.png").stat().st_size > 1000
    with np.load(run / "vectors.npz", allow_pickle=False) as vectors:
        assert vectors["test/slide_id"].tolist() == pd.read_csv(run / "test_slides.csv")["slide_id"].tolist()

    engine = ["engine=pathsearch", f"head.checkpoint={run / 'pathsearch.pth'}", *demo]
    assert script("search", *engine, "figures=default", "eval.k=[1,3]", f"hydra.run.dir={search}") == 0
    rankings = pd.read_parquet(search / "rankings.parquet")
    assert not (rankings["query_id"].str[:-2] == rankings["hit_id"].str[:-2]).any()  # the slides of one patient
    (index,) = Path(demo[-1].partition("=")[2]).glob("demo/index/pathsearch-*")
    assert script("search", f"index_dir={index}", "query=spindle cells", "k=3", f"hydra.run.dir={tmp_path / 'w'}") == 0
    hits = pd.read_parquet(tmp_path / "w" / "hits.parquet")
    assert len(hits) == 3
    ask = ["search", f"index_dir={index}", "query=spindle cells", f"hydra.run.dir={tmp_path / 'other'}"]
    assert script(*ask, "ranking=median_of_minima") == 2
    assert script(*ask, "query.find=reports") == 2
    assert "keeps no reports; build it with reports=table" in capsys.readouterr().err.splitlines()[-1]

    with_reports = ["build_index", *engine, "reports=demo", f"index_dir={tmp_path / 'index'}"]
    assert script(*with_reports, f"hydra.run.dir={tmp_path / 'build'}") == 0
    slide = pd.read_csv(run / "test_slides.csv").iloc[0]
    for query, found in (("spindle cells", "words"), (slide["path"], "slide")):
        ask = [
            "search",
            f"index_dir={tmp_path / 'index'}",
            "query.find=reports",
            f"query.patient={slide['patient_id']}",
        ]
        assert script(*ask, f"query={query}", "k=50", f"hydra.run.dir={tmp_path / found}") == 0
        hits = pd.read_parquet(tmp_path / found / "hits.parquet")
        assert len(hits) == hits["patient_id"].nunique() == 11
        assert slide["patient_id"] not in set(hits["patient_id"])
        assert f"<blockquote>{hits['report'][0]}</blockquote>" in (tmp_path / found / "report.html").read_text()


def test_no_text_tower_is_said_before_anything_is_extracted(
    script: Script, demo: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("train", *TRAINING, *demo, "report=none", f"paths.cache_dir={tmp_path / 'cache'}") == 2
    assert "model pathsearch: no text tower; say report=biomedclip" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "cache").exists()


def test_words_are_refused_before_anything_is_extracted_where_nothing_is_trained(
    script: Script, demo: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("search", "engine=pathsearch", *demo, "query=gland", f"paths.cache_dir={tmp_path / 'cache'}") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: code pathsearch: no weights; train some")
    assert not (tmp_path / "cache").exists()
