"""train.py model=vqvae from the command line to keys that are searched."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import torch

from src.models.vqvae.network import VqVaeEncoder
from tests.runs.conftest import Script

DATA = ("data=table", "data.kind=regions", "data.label=tissue", "patching.regions.patch_size_px=64")
SMALL = (
    *("model=vqvae_small", "model.n_channels=4", "patches.view.size_px=32", "patches.window_px=32"),
    *("patches.batch_size=4", "patches.patches_per_slide=2", "patches.val_fraction=0.25"),
    *("trainer=cpu", "trainer.enable_progress_bar=false"),
)


def train(script: Script, regions: Path, *arguments: str) -> int:
    return script("train", f"data.table={regions}", *DATA, *SMALL, *arguments)


def test_trained_weights_are_searched_with(script: Script, regions: Path) -> None:
    assert train(script, regions, "trainer.max_epochs=2", "hydra.run.dir=run") == 0
    assert len(pd.read_csv("run/epochs.csv")) == 2
    assert "val/pixel_loss" in json.loads(Path("run/metrics.json").read_text())
    state = torch.load("run/encoder.pth", weights_only=True)["state_dict"]
    assert set(state) == set(VqVaeEncoder(4, 128).state_dict())
    searched = ["engine=sish", "encoder=stain_texture", "key_encoder.input_px=128", "index.max_distance=200"]
    weights = ["key_encoder.checkpoint=run/encoder.pth", "hydra.run.dir=searched"]
    assert script("search", f"data.table={regions}", *DATA, *searched, *weights) == 0
    assert json.loads(Path("searched/timing.json").read_text())["n_queries"] == 8
    assert "checkpoint=auto" not in Path("searched/search.log").read_text()


def test_a_stopped_run_goes_on_to_the_same_weights(script: Script, regions: Path) -> None:
    assert train(script, regions, "trainer.max_epochs=3", "hydra.run.dir=whole") == 0
    assert train(script, regions, "trainer.max_epochs=1", "hydra.run.dir=part") == 0
    rest = ["trainer.max_epochs=3", "ckpt_path=part/checkpoints/last.ckpt", "hydra.run.dir=rest"]
    assert train(script, regions, *rest) == 0
    whole, rest_ = (torch.load(f"{run}/encoder.pth", weights_only=True)["state_dict"] for run in ("whole", "rest"))
    assert all(torch.equal(value, rest_[name]) for name, value in whole.items())
