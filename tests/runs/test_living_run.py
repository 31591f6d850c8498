from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from src.index.folder import open_folder, read_manifest
from tests.runs.conftest import Script


@pytest.fixture
def index(script: Script, regions: Path, tmp_path: Path) -> Path:
    """An index of the first five of eight regions."""
    first = tmp_path / "regions" / "first.csv"
    pd.read_csv(regions).head(5).to_csv(first, index=False)
    data = ["data=table", f"data.table={first}", "data.kind=regions", "data.label=tissue"]
    assert script("build_index", *data, "index_dir=index") == 0
    return tmp_path / "index"


def hits(run: str) -> pd.DataFrame:
    return pd.read_parquet(Path(run) / "hits.parquet")


def test_slides_are_added_once_and_found_with_their_labels(script: Script, index: Path, regions: Path) -> None:
    for run in ("once", "again"):
        assert script("build_index", f"index_dir={index}", f"add={regions}", f"hydra.run.dir={run}") == 0
    assert "3 slides added" in Path("once/build_index.log").read_text()
    assert "5 were there already" in Path("once/build_index.log").read_text()
    assert "has all 8 slides" in Path("again/build_index.log").read_text()
    manifest = open_folder(index).manifest
    assert (manifest["n_slides"], manifest["config"]["changes"]) == (8, {"added": 3, "removed": 0})
    query = [f"query={regions.parent / 'r7.png'}", "query.mpp=0.5", "k=8", "hydra.run.dir=run"]
    assert script("search", f"index_dir={index}", *query) == 0
    found = hits("run").set_index("slide_id")
    assert found.index[0] == "r7"
    assert found["tissue"].to_dict() == pd.read_csv(regions).set_index("slide_id")["tissue"].to_dict()


def test_a_protocol_asks_the_slides_that_a_changed_index_has(script: Script, index: Path, regions: Path) -> None:
    script("build_index", f"index_dir={index}", f"add={regions}")
    assert script("build_index", f"index_dir={index}", "remove_patient=p1") == 0
    before = read_manifest(index)
    assert script("search", f"index_dir={index}", "eval=leave_one_slide_out", "hydra.run.dir=run") == 0
    assert json.loads(Path("run/metrics.json").read_text())["top1"]["n_queries"] == 6
    assert not pd.read_parquet("run/rankings.parquet").isin(["r2", "r3", "p1"]).any(axis=None)
    assert read_manifest(index) == before


def test_removed_slides_are_named_nowhere_and_no_build_brings_them_back(
    script: Script, index: Path, regions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("build_index", f"index_dir={index}", "remove=[r0,r3]") == 0
    rows = open_folder(index).table.rows
    assert rows.slide_ids == ("r1", "r2", "r4")
    assert "r0" not in (index / "manifest.json").read_text()
    assert script("build_index", "data=table", f"data.table={regions}", f"index_dir={index}") == 2
    assert "0 slides were added and 2 removed since it was built" in capsys.readouterr().err
    assert open_folder(index).table.rows.slide_ids == rows.slide_ids


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["remove=r9"], "r9 is no slide of the index"),
        (["remove_patient=p9"], "remove_patient=p9: the index has no such patient"),
        (["remove=r0", "add=more.csv"], "add and remove at once; say each in a command of its own"),
        (["add=more.csv"], "more.csv: no such table"),
        (["remove=r0", "encoder=uni"], "was built with encoder=stain_texture"),
        (["remove=r0", "patching=grid"], "was built with patching=whole_image"),
    ],
)
def test_a_change_that_cannot_be_made_is_one_line(
    script: Script, index: Path, change: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_manifest(index)
    assert script("build_index", f"index_dir={index}", *change) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
    assert read_manifest(index) == before
