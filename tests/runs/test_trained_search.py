"""A head is trained on a small demo cohort, and searched with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.index.test_here_code import trained
from tests.runs.conftest import Script

SMALL = ["data=demo", "data.n_patients=4", "data.width_um=600", "data.height_um=450", "previews=false"]
TRAINING = ["patching=grid", "trainer=cpu", "trainer.max_epochs=2", "trainer.enable_progress_bar=false"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Slides that are drawn, and features that are made, once for all tests."""
    folder = tmp_path_factory.mktemp("demo")
    return [*SMALL, f"paths.data_dir={folder}", f"paths.cache_dir={folder}"]


def _slide(demo: list[str]) -> str:
    folder = demo[-1].partition("=")[2]
    return f"query={folder}/demo/slides/DEMO-01-A.tif"


@pytest.fixture
def checkpoint(script: Script, demo: list[str], tmp_path: Path) -> Path:
    """Of HERE's head, trained for two epochs on the demo."""
    small = ["head=here", "task=here66", "head.dim_hidden=16", "head.dim_attention=8", "model.lr=0.01"]
    assert script("train", *demo, *TRAINING, *small, f"hydra.run.dir={tmp_path / 'training'}") == 0
    return tmp_path / "training" / "checkpoints" / "last.ckpt"


def _manifest(index: Path) -> dict[str, object]:
    return dict(json.loads((index / "manifest.json").read_text()))


def test_a_trained_head_is_indexed_searched_and_kept(
    script: Script, demo: list[str], checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, run = tmp_path / "index", tmp_path / "run"
    asked = [f"index_dir={index}", _slide(demo), "k=3"]
    build = ["build_index", "engine=here", *demo, f"index_dir={index}"]
    assert script(*build, f"head.checkpoint={checkpoint}") == 0
    protocol = ["eval=leave_one_slide_out", "eval.label=tissue"]
    before = (index / "manifest.json").read_bytes()
    assert (_manifest(index)["dim"], _manifest(index)["feature_dim"]) == (16, 234)

    moved = shutil.copy(checkpoint, tmp_path / "moved.ckpt")
    checkpoint.unlink()
    assert script("search", *asked, f"hydra.run.dir={run}") == 0
    assert len(pd.read_parquet(run / "hits.parquet")) > 0
    assert script("search", *asked, f"head.checkpoint={moved}") == 0
    assert (
        script("search", *asked[:1], *protocol, "code=here", "code.query=patches", f"hydra.run.dir={tmp_path / 'all'}")
        == 0
    )
    assert "index: reused" in (tmp_path / "all" / "search.log").read_text()
    assert script(*build, f"head.checkpoint={moved}", f"hydra.run.dir={tmp_path / 'again'}") == 0
    assert "index: reused" in (tmp_path / "again" / "build_index.log").read_text()
    assert (index / "manifest.json").read_bytes() == before

    raw = torch.load(moved, weights_only=True)
    raw["state_dict"]["head.project.0.bias"] += 1
    torch.save(raw, moved)
    capsys.readouterr()
    assert script("search", *asked, f"head.checkpoint={moved}") == 2
    assert "built with trained weights" in capsys.readouterr().err.splitlines()[-1]


def test_weights_at_one_path_name_the_index(script: Script, demo: list[str], tmp_path: Path) -> None:
    for seed in (0, 1, 0):
        trained(234, seed).write(tmp_path / "head.pt")
        run = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        assert script("build_index", *demo, "engine=here", "head.checkpoint=head.pt", f"hydra.run.dir={run}") == 0
    assert "index: reused" in (tmp_path / "run2" / "build_index.log").read_text()
    indexes = list(Path(demo[-1].partition("=")[2]).glob("demo/index/here-*"))
    expected = {trained(234, seed).digest() for seed in (0, 1)}
    assert {_manifest(index)["weights"] for index in indexes} == expected


def test_a_head_that_would_not_be_used_is_refused(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    assert script("search", *arguments, "head.checkpoint=head.pt") == 2
    assert "code L2 does not search with a head; leave out head.checkpoint, or say code=here" in capsys.readouterr().err


def test_tissue_of_a_query_can_be_segmented_otherwise_than_the_index(
    script: Script, demo: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    assert script("build_index", "engine=here", *demo, f"index_dir={index}") == 0
    asked = ["search", f"index_dir={index}", _slide(demo)]
    assert script(*asked) == 0
    assert script(*asked, "tissue.threshold=254") != 0
    assert "no patches to search with" in capsys.readouterr().err
    assert script(*asked, "tissue=otsu") == 2
    assert "was built with tissue=clam, the command line says tissue=otsu" in capsys.readouterr().err
