"""What the runs of a sweep kept of a slide, in one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.data.preview import write_png
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run
from src.runs.mosaic_comparison import write_mosaic_comparison
from tests.runs.conftest import Script

METRICS = {"mAP@5": {"value": 0.5}}


def _run(folder: Path, name: str, shades: dict[str, int], *overrides: str) -> Run:
    for slide, shade in shades.items():
        write_png(folder / "mosaics" / f"{slide}.png", np.full((30, 40, 3), shade, np.uint8))
    return Run(name, overrides, metrics=METRICS, folder=folder)


def test_slides_that_runs_keep_differently_are_drawn(tmp_path: Path) -> None:
    runs = [
        _run(tmp_path / "0", "a", {"same": 1, "other": 1}),
        _run(tmp_path / "1", "b", {"same": 1, "other": 2, "alone": 1}),
        Run("c", metrics=METRICS),
    ]
    written = write_mosaic_comparison(Leaderboard.of(runs), tmp_path / "sweep")
    assert [path.name for path in written] == ["other.png"]
    assert written[0].read_bytes().startswith(b"\x89PNG")


def test_one_run_is_no_comparison(tmp_path: Path) -> None:
    runs = [_run(tmp_path / "0", "a", {"s": 1}), Run("b", metrics=METRICS, folder=tmp_path / "1")]
    assert write_mosaic_comparison(Leaderboard.of(runs), tmp_path / "sweep") == []
    assert not (tmp_path / "sweep").exists()


def test_sweep_ends_with_the_mosaics_of_its_runs(script: Script, regions: Path, tmp_path: Path) -> None:
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue", "patching=grid"]
    sweep = ["-m", "mosaic=all_patches,yottixel", "patching.regions.patch_size_px=32", "mosaic_previews=true"]
    assert script("search", *sweep, *data, f"hydra.sweep.dir={tmp_path / 'sweep'}") == 0
    assert {path.name for path in (tmp_path / "sweep" / "mosaics").iterdir()} == {f"r{i}.png" for i in range(8)}
