"""The three rules for eta on a tiny Kimia Path24C, by search.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.patch_layouts import write_kimia
from tests.runs.conftest import Script

ETA = ("eta_p", "eta_W", "eta_tot")


def metrics_of(script: Script, root: Path, protocol: str, *more: str) -> dict[str, float]:
    data = ["data=kimia_path24c", f"data.root={root}", "data.is_complete=false"]
    assert script("search", *data, f"eval={protocol}", "hydra.run.dir=run", *more) == 0
    return {name: metric["value"] for name, metric in json.loads(Path("run/metrics.json").read_text()).items()}


def test_each_protocol_reports_its_eta(script: Script, tmp_path: Path) -> None:
    root = write_kimia(tmp_path / "kimia")
    standard = metrics_of(script, root, "kimia")
    assert set(standard) == {*(f"kimia/{eta}" for eta in ETA), "chance_top1"}
    assert standard["kimia/eta_p"] > 0.5
    assert standard["kimia/eta_tot"] == pytest.approx(standard["kimia/eta_p"] * standard["kimia/eta_W"])
    others = metrics_of(script, root, "kimia_leave_one_out", "code=raw", "index.metric=l2")
    rules = ("kimia_leave_one_out", "kimia_notebook")
    assert set(others) == {*(f"{rule}/{eta}" for rule in rules for eta in ETA), "chance_top1"}
    assert others["kimia_notebook/eta_p"] >= 1 / 2  # the query itself is counted, of two patches
