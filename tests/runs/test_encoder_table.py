from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from src.runs.encoder_table import main


def test_the_dearest_encoder_comes_first_and_what_has_no_count_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.csv"
    assert main(["stain_texture", "mobilenetv3", "mobilenetv2", "--out", str(out)]) == 0
    table = pd.read_csv(out)
    assert table["name"].tolist() == ["mobilenetv2", "mobilenetv3", "stain_texture"]
    assert table["input"].tolist()[:2] == ["224x224", "224x224"]
    assert table["gflops"].isna().tolist() == [False, False, True]
    assert "mobilenetv2" in capsys.readouterr().out


def test_an_unknown_encoder_is_refused_with_the_nearest_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unii"]) == 2
    assert capsys.readouterr().err == "error: no encoder 'unii' in conf/encoder; did you mean uni?\n"
