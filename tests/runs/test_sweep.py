from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.runs.conftest import Script


def test_sweep_ends_in_one_leaderboard(script: Script, regions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    (tmp_path / "published.csv").write_text(
        "source,cohort,label,engine,metric,class,value,note\npaper,cohort,tissue,patch_flat,top1,,0.25,\n"
    )
    published = f"published={tmp_path / 'published.csv'}"
    assert script("search", "-m", "ranking=nearest_patch,rank_sum", *data, published, f"hydra.sweep.dir={folder}") == 0
    board = pd.read_csv(folder / "leaderboard.csv")
    assert sorted(board["overrides"].str.extract(r"ranking=(\w+)")[0]) == ["nearest_patch", "rank_sum"]
    assert (folder / "leaderboard.md").exists()
    beside = pd.read_csv(folder / "leaderboard_published.csv")
    assert beside["value"].tolist() == [0.25]
    assert beside["ours"].tolist() == [board["top1"].max()]
    assert pd.read_csv(folder / "leaderboard_pairs.csv")["difference"].tolist() == [-board["top1"].diff().iloc[1]]
    assert (folder / "leaderboard.html").read_text().count("<svg") == 3
    assert sorted(path.name for path in folder.glob("*.png")) == ["best.png", "classes.png", "speed.png"]


def test_runs_of_a_sweep_lie_in_the_folder_that_the_command_names(script: Script, regions: Path) -> None:
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    sweep = ["-m", "ranking=nearest_patch,rank_sum", *data]
    assert script("search", *sweep) == script("search", *sweep) == 0
    (folder,) = Path("outputs/sweeps").iterdir()
    assert len(pd.read_csv(folder / "leaderboard.csv")) == 2


def test_figure_that_cannot_be_drawn_costs_no_other_result(script: Script, regions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    broken = "+figures.broken._target_=src.eval.sweep_figures.nothing"
    sweep = ["-m", "ranking=nearest_patch,rank_sum", *data, broken, f"hydra.sweep.dir={folder}"]
    assert script("search", *sweep) == 0
    assert sorted(path.name for path in folder.glob("*.png")) == ["best.png", "classes.png", "speed.png"]
    assert len(pd.read_csv(folder / "leaderboard.csv")) == 2


def test_killed_sweep_continues_where_it_stopped(script: Script, regions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    arguments = ["-m", "ranking=nearest_patch,rank_sum", *data, f"hydra.sweep.dir={folder}"]
    script("search", *arguments)
    finished = (folder / "0" / "rankings.parquet").stat().st_mtime_ns
    (folder / "1" / "status.json").unlink()
    assert script("search", *arguments) == 0
    assert (folder / "0" / "rankings.parquet").stat().st_mtime_ns == finished
    assert json.loads((folder / "1" / "status.json").read_text())["status"] == "ok"


def test_run_that_fails_leaves_the_others_and_shows_its_reason(script: Script, regions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    data = ["data=table", f"data.table={regions}", "data.kind=regions"]
    assert script("search", "-m", "eval.label=tissue,nothing", *data, f"hydra.sweep.dir={folder}") == 2
    board = pd.read_csv(folder / "leaderboard.csv").set_index("status")
    assert str(board.loc["failed", "reason"]).startswith("cohort")
    assert 0 <= float(str(board.loc["ok", "top1"])) <= 1


def test_parts_that_do_not_fit_are_skipped_with_the_reason_and_the_sweep_is_no_failure(
    script: Script, regions: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    parts = ["code=l2,barcode", "index=flat,binary_flat"]
    assert script("search", "-m", *parts, *data, f"hydra.sweep.dir={folder}") == 0
    board = pd.read_csv(folder / "leaderboard.csv")
    assert board["status"].tolist() == ["ok", "ok", "skipped", "skipped"]
    assert [reason.partition(";")[0] for reason in board["reason"].tolist()[2:]] == [
        "index binary_flat takes binary codes, code l2 gives float ones",
        "index flat takes float codes, code barcode gives binary ones",
    ]


def test_sweep_over_splits_ends_in_mean_and_spread(script: Script, regions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    quick = ["trainer=cpu", "trainer.max_epochs=2", "trainer.enable_progress_bar=false"]
    assert script("train", "-m", "bags.split_seed=0,1", *data, *quick, f"hydra.sweep.dir={folder}") == 0
    groups = pd.read_csv(folder / "groups.csv").set_index("metric")
    board = pd.read_csv(folder / "leaderboard.csv")
    assert groups["n_runs"].to_dict()["test/loss"] == 2
    assert groups["mean"].to_dict()["test/loss"] == pytest.approx(board["test/loss"].mean())
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
