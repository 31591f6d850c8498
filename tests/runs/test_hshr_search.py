"""HSHR's engine trains its hash encoder when an index is built, and keeps it with the index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.runs.conftest import Script
from tests.runs.test_trained_search import SMALL

HASH = ["engine=hshr", "mosaic.n_clusters=4", "code.training.n_bits=64", "code.training.n_steps=4", "previews=false"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Slides that are drawn, and features that are made, once for all tests."""
    folder = tmp_path_factory.mktemp("demo")
    return [*SMALL, f"paths.data_dir={folder}", f"paths.cache_dir={folder}"]


def _manifest(index: Path) -> dict[str, Any]:
    return dict(json.loads((index / "manifest.json").read_text()))


def _weights(demo: list[str]) -> list[Path]:
    return sorted(Path(demo[-1].partition("=")[2]).glob("demo/weights/*.ckpt"))


def test_hash_encoder_is_trained_once_kept_and_searched_with(script: Script, demo: list[str], tmp_path: Path) -> None:
    index, run = tmp_path / "index", tmp_path / "run"
    build = ["build_index", *HASH, *demo, f"index_dir={index}"]
    assert script(*build) == 0
    (checkpoint,) = _weights(demo)
    assert _manifest(index)["config"]["code"]["checkpoint"] == str(checkpoint)
    assert _manifest(index)["ranking_fitted"] == {"name": "Hypergraph", "n_nearest": 10, "n_spare": 20}
    assert script(*build, f"hydra.run.dir={tmp_path / 'again'}") == 0
    assert "index: reused" in (tmp_path / "again" / "build_index.log").read_text()

    checkpoint.unlink()
    query = f"query={demo[-1].partition('=')[2]}/demo/slides/DEMO-01-A.tif"
    assert script("search", f"index_dir={index}", query, "k=3", f"hydra.run.dir={run}") == 0
    assert pd.read_parquet(run / "hits.parquet")["slide_id"].iloc[0] == "DEMO-01-A"


def test_another_seed_is_another_hash_encoder(script: Script, demo: list[str], tmp_path: Path) -> None:
    for seed in (1, 2):
        assert script("build_index", *HASH, *demo, f"seed={seed}", f"hydra.run.dir={tmp_path / str(seed)}") == 0
    assert len(_weights(demo)) >= 2


def test_a_head_that_the_code_does_not_search_with_is_refused(
    script: Script, demo: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("build_index", *HASH, *demo, "head.checkpoint=head.ckpt") == 2
    assert "code Hshr does not search with a head" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("ranking", ["nearest_patch", "hypergraph"])
def test_alpha_and_beta_need_no_other_index_but_the_number_of_neighbours_does(
    script: Script, demo: list[str], tmp_path: Path, ranking: str
) -> None:
    index = tmp_path / "index"
    assert script("build_index", *HASH, *demo, f"ranking={ranking}", f"index_dir={index}") == 0
    ask = ["search", f"index_dir={index}", f"query={demo[-1].partition('=')[2]}/demo/slides/DEMO-01-A.tif", "k=3"]
    fits = ranking == "hypergraph"
    assert script(*ask, "ranking=hypergraph", "ranking.alpha=0.5") == (0 if fits else 2)
    assert script(*ask, "ranking=hypergraph", "ranking.n_nearest=5") == 2
    assert script(*ask, "ranking=nearest_patch") == 0


def test_a_hash_encoder_is_trained_by_train_resumed_and_searched_with(
    script: Script, demo: list[str], tmp_path: Path
) -> None:
    small = ["model=hshr", "model.n_bits=64", "model.queue_size=16", "halves.batch_size=4", "mosaic.n_clusters=4"]
    train = ["train", *demo, *small, "trainer=cpu", "trainer.enable_progress_bar=false", "figures=training"]
    runs = {name: tmp_path / name for name in ("whole", "half", "rest")}
    assert script(*train, "trainer.max_epochs=4", f"hydra.run.dir={runs['whole']}") == 0
    assert script(*train, "trainer.max_epochs=2", f"hydra.run.dir={runs['half']}") == 0
    last = runs["half"] / "checkpoints" / "last.ckpt"
    rest = ["trainer.max_epochs=4", f"ckpt_path={last}", f"hydra.run.dir={runs['rest']}"]
    assert script(*train, *rest) == 0
    whole, resumed = (pd.read_csv(runs[name] / "epochs.csv") for name in ("whole", "rest"))
    pd.testing.assert_frame_equal(resumed, whole)
    assert {"train/loss", "val/loss", "train/found", "val/found"} <= set(whole)
    assert set(json.loads((runs["whole"] / "metrics.json").read_text())) >= {"val/loss", "train/loss"}

    weights = {}
    for name in ("hash_encoder.pth", "checkpoints/last.ckpt"):
        index = tmp_path / name.partition(".")[0]
        build = ["build_index", *HASH, *demo, f"code.checkpoint={runs['rest'] / name}", f"index_dir={index}"]
        assert script(*build) == 0
        weights[name] = _manifest(index)["weights"]
    assert len(set(weights.values())) == 1
