"""train.py model=lgffem from the command line to an encoder that searches, in three strategies."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import timm
import torch

from tests.runs.conftest import Script

BACKBONE = {"backbone": "mobilenetv2_035", "n_channels": "8"}
FEW = ["patches.batch_size=4", "patches.patches_per_slide=2", "patches.val_fraction=0.25", "trainer=cpu"]
SMALL = ["patches.view.size_px=32", "patching.regions.patch_size_px=64", "trainer.enable_progress_bar=false"]


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(timm.create_model("mobilenetv2_035", num_classes=0).state_dict(), tmp_path / "backbone.pth")
    return tmp_path / "backbone.pth"


def train(script: Script, regions: Path, backbone: Path, *arguments: str) -> int:
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    design = [f"model.design.{key}={value}" for key, value in BACKBONE.items()]
    file = f"model.design.backbone_checkpoint={backbone}"
    return script("train", "model=lgffem_small", *design, file, *data, *FEW, *SMALL, *arguments)


def test_a_strategy_goes_on_from_another_and_its_descriptor_searches(
    script: Script, regions: Path, backbone: Path
) -> None:
    assert train(script, regions, backbone, "trainer.max_epochs=2", "hydra.run.dir=a") == 0
    epochs = pd.read_csv("a/epochs.csv")
    best = json.loads(Path("a/timing.json").read_text())["best_epoch"]
    assert best == epochs["val/loss"].argmin()
    before = torch.load("a/encoder.pth", weights_only=True)["state_dict"]
    assert {name.partition(".")[0] for name in before} == {"backbone", "neck", "head", "grn_over_channels"}
    further = ["model.start_from=a/encoder.pth", "trainer.max_epochs=1", "model.lr=1e-9", "model.min_lr=1e-10"]
    assert train(script, regions, backbone, *further, "hydra.run.dir=b") == 0
    after = torch.load("b/encoder.pth", weights_only=True)["state_dict"]
    name = "neck.neck_layer_0.p31_gca_p30.dwconv.weight"
    torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=0)
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    network = [f"encoder.network.{key}={value}" for key, value in BACKBONE.items()]
    encoder = ["encoder=lgffem_small", *network, "encoder.dim=32", "encoder.checkpoint=b/encoder.pth"]
    assert script("search", *data, *encoder, "engine=yottixel", "encoder.transform.resize_px=32") == 0


def test_a_missing_backbone_is_named(script: Script, regions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(script, regions, Path("none.pth"), "trainer.max_epochs=1") == 2
    assert "none.pth: no such file" in capsys.readouterr().err
