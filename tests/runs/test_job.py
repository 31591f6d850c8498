from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from src.runs.job import _key


@pytest.mark.parametrize("part", ["encoder", "head"])
def test_other_weights_at_the_same_path_are_another_run(part: str, regions: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    table = {"_target_": "src.data.cohorts.table.table_cohort", "table": str(regions), "kind": "regions"}
    cfg = OmegaConf.create({"data": table, part: {"checkpoint": str(weights)}})
    keys = []
    for content in (b"one", b"two", b"one"):
        weights.write_bytes(content)
        keys.append(_key(cfg))
    assert keys[0] == keys[2] != keys[1]
