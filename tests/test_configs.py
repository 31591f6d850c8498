"""Every YAML under conf/ composes, and everything in it is made, with only the model hub mocked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.data.cohorts.here101 import ASPECTS
from src.models import hub
from src.runs.cli import CONF
from tests.data import patch_layouts

SCRIPTS = ("build_index", "search", "train")
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
PART_OF_A_MODEL = ("bags", "halves", "pairs", "patches")
# Others belong to the model of their name.
MODEL_OF = {
    ("bags", "default"): "bag_classifier",
    ("halves", "default"): "hshr",
    ("pairs", "default"): "pathsearch",
}
TRAINING = (*PART_OF_A_MODEL, "callbacks", "head", "model", "report", "reports", "task", "trainer")


def _compose(tmp_path: Path, script: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(script, overrides=[f"paths.run_dir={tmp_path}", *overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg


@pytest.fixture
def data_overrides(tmp_path: Path) -> dict[str, list[str]]:
    """What each cohort needs, in tiny layouts like the real ones."""
    image = PIL.Image.fromarray(np.full((40, 40, 3), 200, np.uint8))
    for name in ("classes/a/x.png", "here101/png/q-1.png", "consep/images/train_1_000.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / name)
    pd.DataFrame({"path": ["classes/a/x.png"]}).to_csv(tmp_path / "slides.csv", index=False)
    manifest = {column: ["x"] for column in (*ASPECTS, "diagnosis", "cell_type", "cancer_type")}
    pd.DataFrame({"query": ["q-1"], **manifest, "scattered large cells": ["no"], "key_point": ["k"]}).to_excel(
        tmp_path / "here101" / "manifest.xlsx", index=False
    )
    pd.DataFrame(
        {"patch": ["train_1_000"], "source_image": ["train_1"], "dominant_type": [3], "dominant_name": ["epithelial"]}
    ).assign(index=0, nuclei_fraction=0.2, px_type1=0, px_type2=0, px_type3=9, px_type4=0).to_csv(
        tmp_path / "consep" / "labels.csv", index=False
    )
    return {
        **patch_layouts.overrides(tmp_path),
        "table": [f"data.table={tmp_path / 'slides.csv'}"],
        "folder": [f"data.root={tmp_path / 'classes'}"],
        "here101": [f"data.root={tmp_path / 'here101'}"],
        "consep": [f"data.root={tmp_path / 'consep'}"],
        "demo": [f"data.root={tmp_path / 'demo'}", "data.n_patients=4", "data.width_um=600", "data.height_um=450"],
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_composes(tmp_path: Path, script: str) -> None:
    cfg = _compose(tmp_path, script)
    plain = OmegaConf.to_container(
        OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]), resolve=True
    )
    assert isinstance(plain, dict)
    assert plain["seed"] == 0


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_is_made(
    tmp_path: Path,
    group: str,
    option: str,
    data_overrides: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "fetch", lambda source, encoder: pytest.fail("making a part needs no weights"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    script = "train" if group in TRAINING or _is_of_training(group, option) else "search"
    is_part = group in PART_OF_A_MODEL
    chosen = [f"model={MODEL_OF.get((group, option), option)}" if is_part else f"{group}={option}"]
    more = data_overrides.get(option, []) if group == "data" else []
    cfg = _compose(tmp_path, script, *chosen, *more)
    if group == "experiment":
        assert HydraConfig.get().runtime.choices["experiment"] == option
        return
    node = cfg[group]
    parts = node.values() if group in ("callbacks", "figures", "logger") else [node]
    if option == "gpu" and not torch.cuda.is_available():
        with pytest.raises(InstantiationException, match="gpu"):
            instantiate(node, _convert_="all")
        return
    for part in parts:
        made = instantiate(part, _convert_="all")
        assert made is not None


def _is_of_training(group: str, option: str) -> bool:
    text = (CONF / group / f"{option}.yaml").read_text()
    return group == "experiment" and any(f"override /{name}:" in text for name in TRAINING)


def test_no_group_is_forgotten() -> None:
    """A new folder under conf/ is either a choice of a script, or part of one."""
    chosen = {str(name) for script in SCRIPTS for name in _groups_of(script)}
    assert set(GROUPS) <= chosen | set(PART_OF_A_MODEL)


def _groups_of(script: str) -> list[str]:
    defaults = OmegaConf.to_object(OmegaConf.load(CONF / f"{script}.yaml"))
    assert isinstance(defaults, dict)
    return [str(name) for entry in defaults["defaults"] if isinstance(entry, dict) for name in entry]
