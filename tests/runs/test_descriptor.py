"""`python -m src.runs.descriptor` on finished runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from src.runs.descriptor.__main__ import main
from tests.models.lgffem.test_network import design_of
from tests.runs.conftest import Script

TINY = ["encoder.dim=32", "encoder.transform.resize_px=64", "encoder.checkpoint=encoder.pth"]


@pytest.fixture
def searched(script: Script, regions: Path) -> Path:
    torch.manual_seed(0)
    state = design_of("mobilenetv2_100", n_layers=3, kwargs={"pad_type": "same"}).build().state_dict()
    torch.save({"state_dict": state}, "encoder.pth")
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    encoder = ["encoder=lgffem_small", "encoder.network.n_channels=8", *TINY]
    assert script("search", *data, *encoder, "hydra.run.dir=run") == 0
    return Path("run")


def test_a_run_of_lgffem_gives_a_page_with_both_pictures_and_wandb_images(searched: Path, offline_wandb: None) -> None:
    pair = ["--query", "r0", "--hit", "r4"]
    assert main([str(searched), "--out", "out", "--logger", "wandb", *pair]) == 0
    for name in ("projection.png", "cam.png"):
        with PIL.Image.open(f"out/{name}") as picture:
            assert np.asarray(picture.convert("RGB")).std() > 5
    page = Path("out/descriptor.html").read_text()
    assert page.count("<img ") == 2
    assert "r0 at 0, 0" in page
    assert "r4 at 0, 0" in page
    logged = {path.name.rpartition("_")[0].partition("_")[0] for path in Path("out").rglob("media/images/*.png")}
    assert logged == {"projection", "cam"}


def test_unknown_pairs_are_refused_in_one_line(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(searched), "--out", "out", "--query", "r9"]) == 2
    assert "no query r9 with a hit; the first one is r0" in capsys.readouterr().err
    assert main([str(searched), "--out", "out", "--query", "r0", "--hit", "r1"]) == 2
    assert "query r0 has no hit r1; its first are" in capsys.readouterr().err


def test_other_encoders_have_a_projection_only(script: Script, regions: Path) -> None:
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    assert script("search", *data, "hydra.run.dir=run") == 0
    assert main(["run", "--out", "out"]) == 0
    assert not Path("out/cam.png").exists()
    assert "The encoder is no LGFFEM" in Path("out/descriptor.html").read_text()
