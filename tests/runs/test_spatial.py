from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import PIL.Image
import pytest

from src.runs.spatial.__main__ import main
from tests.data.sections import write_her2st, write_space_ranger

SMALL = ["--min-genes", "1", "--clusters", "2"]


def test_a_section_becomes_clusters_genes_and_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_her2st(tmp_path / "B4")
    assert main([str(tmp_path / "B4"), "--out", str(tmp_path / "out"), *SMALL]) == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *("spots.csv", "tests.parquet", "genes.csv", "summary.json", "map.png")
    }
    spots = pd.read_csv(out / "spots.csv")
    is_left = spots["x"] <= 300
    assert spots[is_left]["cluster"].nunique() == spots[~is_left]["cluster"].nunique() == 1
    genes = pd.read_csv(out / "genes.csv")
    assert genes["gene"].iloc[0] == "G0"
    assert genes["cluster"].iloc[0] == spots[is_left]["cluster"].iloc[0]
    assert len(pd.read_parquet(out / "tests.parquet")) == 2 * 30
    assert json.loads((out / "summary.json").read_text())["mpp_source"] == "spot pitch"
    assert PIL.Image.open(out / "map.png").size[0] > 1000
    assert "G0" in capsys.readouterr().out


def test_a_space_ranger_folder_is_read_by_its_files(tmp_path: Path) -> None:
    write_space_ranger(tmp_path / "outs")
    assert main([str(tmp_path / "outs"), "--out", str(tmp_path / "out"), *SMALL, "--genes", "G1,G2"]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["genes"] == ["G1", "G2"]


def test_what_cannot_be_done_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_her2st(tmp_path / "B4")
    (tmp_path / "empty").mkdir()
    for section, options, said in (
        ("empty", [], "neither spots.tsv"),
        ("B4", [*SMALL, "--encoder", "stain_textur"], "did you mean stain_texture?"),
        ("B4", [*SMALL, "--genes", "g0"], "did you mean G0?"),
        ("B4", [], "lower min_genes"),
        ("B4", ["--min-genes", "1", "--clusters", "99"], "99 clusters of 35 spots"),
    ):
        assert main([str(tmp_path / section), "--out", str(tmp_path / "out"), *options]) == 2
        message = capsys.readouterr().err
        assert said in message
        assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()
