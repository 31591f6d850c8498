from __future__ import annotations

from pathlib import Path

import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src.runs.cli import CONF
from tests.runs.conftest import Script


def test_experiment_names_exact_search_and_the_twelve_indexes_of_the_paper() -> None:
    experiment = OmegaConf.load(CONF / "experiment" / "index_sweep.yaml")
    names = [name.strip() for name in experiment.hydra.sweeper.params.index.split(",")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        indexes = [compose("search", [f"index={name}"]).index for name in names]
    assert [index.metric for index in indexes if "metric" in index] == ["cosine"]
    assert sorted(index.n_bits for index in indexes if "n_bits" in index) == [32, 64, 128]
    shapes = {(index.M, index.m, index.nlist) for index in indexes if "nlist" in index}
    assert shapes == {(m, m, nlist) for m in (8, 16, 32) for nlist in (128, 256, 512)}


def test_sweep_over_indexes_shows_what_each_became_and_what_it_loses(
    script: Script, regions: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    patches = ["patching=grid", "patching.regions.patch_size_px=64"]
    chosen = ["-m", "experiment=index_sweep", "index=flat,itq_lsh_32,hnsw_ivfpq_m8_nlist256"]
    assert script("search", *chosen, *data, *patches, f"hydra.sweep.dir={folder}") == 0
    board = pd.read_csv(folder / "leaderboard.csv")
    board = board.set_index(board["overrides"].str.extract(r"index=(\w+)")[0])
    recall = board["recall@10_vs_exact"]
    assert recall["flat"] == 1
    assert (recall.drop("flat") < 1).all()
    n_rows = 8 * 4 * 3  # a region of 300 x 220 px has 4 x 3 patches
    assert board["n_rows"].tolist() == [n_rows] * 3
    assert board.loc["hnsw_ivfpq_m8_nlist256", "index_nlist"] == n_rows // 8
    assert board.loc["itq_lsh_32", "index_n_bits"] == 32
    assert (folder / "indexes.png").exists()
