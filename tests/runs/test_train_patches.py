"""train.py model=ccl_small from the command line to an encoder that searches."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.runs.conftest import Script

SMALL = ["model.memory_size=16", "model.memory_groups=2", "patches.view.size_px=32"]
FEW = ["patches.batch_size=4", "patches.patches_per_slide=2", "patches.val_fraction=0.25", "trainer=cpu"]
ENCODER = ["encoder=retccl", "encoder.network.architecture=resnet10t", "encoder.dim=512"]


def train(script: Script, regions: Path, *arguments: str) -> int:
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    quiet = ["trainer.enable_progress_bar=false", "patching.regions.patch_size_px=64"]
    return script("train", "model=ccl_small", *SMALL, *FEW, *data, *quiet, *arguments)


def test_trained_weights_search_as_the_encoder_of_retccl(script: Script, regions: Path) -> None:
    assert train(script, regions, "trainer.max_epochs=2", "hydra.run.dir=run") == 0
    assert {"encoder.pth", "metrics.json", "epochs.csv", "curves.png", "config.yaml"} <= {
        path.name for path in Path("run").iterdir()
    }
    assert len(pd.read_csv("run/epochs.csv")) == 2
    assert "val/group_loss" in json.loads(Path("run/metrics.json").read_text())
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    search = ["engine=retccl", *ENCODER, "encoder.checkpoint=run/encoder.pth", "patching.regions.patch_size_px=64"]
    assert script("search", *data, *search, "patching.regions.mpp=0.5", "hydra.run.dir=searched") == 0
    assert json.loads(Path("searched/timing.json").read_text())["n_queries"] == 8


def test_a_run_goes_on_from_its_last_epoch(script: Script, regions: Path) -> None:
    assert train(script, regions, "trainer.max_epochs=1", "hydra.run.dir=run") == 0
    last = "ckpt_path=run/checkpoints/last.ckpt"
    assert train(script, regions, "trainer.max_epochs=3", last, "hydra.run.dir=more") == 0
    first, epochs = pd.read_csv("run/epochs.csv"), pd.read_csv("more/epochs.csv")
    assert epochs["epoch"].tolist() == [0, 1, 2]
    pd.testing.assert_frame_equal(epochs.head(1), first)
    states = [torch.load(f"{run}/encoder.pth", weights_only=True)["state_dict"] for run in ("run", "more")]
    assert not torch.equal(states[0]["conv1.0.weight"], states[1]["conv1.0.weight"])


def test_another_model_cannot_go_on(script: Script, regions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(script, regions, "trainer.max_epochs=1", "hydra.run.dir=run") == 0
    more = ["trainer.max_epochs=2", "ckpt_path=run/checkpoints/last.ckpt", "model.dim=64"]
    assert train(script, regions, *more, "hydra.run.dir=more") == 2
    assert "dim was 128, is 64" in capsys.readouterr().err
