from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from src.index.folder import open_folder
from tests.runs.conftest import Script

DATA = ["data=table", "data.kind=regions", "data.label=tissue"]


def files(folder: Path) -> dict[str, bytes]:
    """Those of the index, the table as text; the manifest tells when and where it was built."""
    table = pd.read_parquet(folder / "rows.parquet").to_csv().encode()
    names = [path for path in folder.iterdir() if path.name not in ("manifest.json", "rows.parquet")]
    return {**{path.name: path.read_bytes() for path in names}, "rows": table}


@pytest.mark.parametrize("index", ["hnsw_ivfpq", "rerank", "itq_lsh", "flat"])
def test_merged_shards_are_the_index_that_one_build_gives(
    index: str, script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = [*DATA, f"data.table={regions}", "engine=here", f"index={index}", "sample=reservoir"]
    assert script("build_index", *build, "index_dir=whole") == 0
    for number in (1, 0, 2):
        shard = [f"shard={number}", "n_shards=3", f"hydra.run.dir=run{number}"]
        assert script("build_index", *build, "index_dir=parts", *shard) == 0
    assert "fitted by another shard" not in Path("run1/build_index.log").read_text()
    assert "fitted by another shard" in Path("run2/build_index.log").read_text()
    assert not Path("parts").exists()
    assert script("build_index", "merge=parts.shards", "index_dir=parts") == 0
    assert files(Path("parts")) == files(Path("whole"))
    assert script("build_index", *build, "index_dir=parts", "hydra.run.dir=again") == 0
    assert "reused" in Path("again/build_index.log").read_text()


def test_an_incomplete_or_foreign_set_of_shards_is_refused(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = [*DATA, f"data.table={regions}", "index=flat", "index_dir=parts"]
    assert script("build_index", "merge=parts.shards", "index_dir=parts") == 2
    assert "holds no shards" in capsys.readouterr().err
    assert script("build_index", *build, "shard=0", "n_shards=2") == 0
    assert script("build_index", "merge=parts.shards", "index_dir=parts") == 2
    assert "has 0-of-2, expected 0-of-2, 1-of-2; build the missing ones" in capsys.readouterr().err
    assert script("build_index", *build, "shard=1", "n_shards=2", "seed=5") == 0
    assert script("build_index", "merge=parts.shards", "index_dir=parts") == 2
    assert "its shards are of different builds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["shard=2", "n_shards=2", "index_dir=parts"], "expected 0 to 1"),
        (["shard=0", "index_dir=parts"], "expected all three"),
        (["shard=0", "n_shards=2"], "expected all three"),
        (["shard=0", "n_shards=99", "index_dir=parts"], "the cohort has 8 slides; choose fewer shards"),
        (["shard=0", "n_shards=2", "index_dir=parts", "index=hnsw"], "index hnsw cannot be merged from shards"),
    ],
)
def test_shards_that_cannot_work_are_refused_in_one_line(
    given: list[str], message: str, script: Script, regions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("build_index", *DATA, f"data.table={regions}", *given) == 2
    assert message in capsys.readouterr().err


def test_the_manifest_of_merged_shards_names_no_shard(script: Script, regions: Path) -> None:
    for number in range(2):
        shard = [f"shard={number}", "n_shards=2", "index_dir=parts"]
        assert script("build_index", *DATA, f"data.table={regions}", *shard) == 0
    assert script("build_index", "merge=parts.shards", "index_dir=parts") == 0
    config = open_folder(Path("parts")).manifest["config"]
    assert (config["shard"], config["n_shards"]) == (None, None)
    assert "of-2" not in json.dumps(config["key"])
