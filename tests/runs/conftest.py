"""Scripts run as a user runs them, but in this process; cohorts of a few tiny regions and slides."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import wandb
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from src.runs.cli import run_script

Script = Callable[..., int]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Script]:
    """`script("search", "k=3", ...)` runs search.py in a folder of its own and gives the exit code."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> int:
        GlobalHydra.instance().clear()
        monkeypatch.setattr("sys.argv", [f"{name}.py", *arguments])
        try:
            run_script(name, importlib.import_module(name).main)
        except SystemExit as error:
            return int(error.code or 0)
        return 0

    yield run
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    root.handlers, root.level = handlers, level


@pytest.fixture
def offline_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B writes to the run's folder, whatever an earlier test has set up."""
    wandb.teardown()  # its service process would keep the environment it was started with
    monkeypatch.setenv("WANDB_MODE", "offline")


def region(seed: int, colour: tuple[int, int, int], size: tuple[int, int] = (300, 220)) -> np.ndarray:
    """A noisy region whose colour tells its class, width x height pixels."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 12, (size[1], size[0], 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def regions(tmp_path: Path) -> Path:
    """A table of 8 PNG regions of 4 patients and two classes; returns the CSV."""
    records = []
    for i in range(8):
        tissue, colour = ("gland", (200, 120, 170)) if i % 4 < 2 else ("stroma", (235, 190, 215))
        path = tmp_path / "regions" / f"r{i}.png"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(region(i, colour)).save(path)
        records.append(
            {"slide_id": f"r{i}", "path": path.name, "patient_id": f"p{i // 2}", "mpp": 0.5, "tissue": tissue}
        )
    table = tmp_path / "regions" / "cohort.csv"
    pd.DataFrame(records).assign(other=["a", "b"] * 4).to_csv(table, index=False)
    return table
