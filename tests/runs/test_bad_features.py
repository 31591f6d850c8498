"""Given feature files that cannot be used are left out of a training, each with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from tests.runs.conftest import Script

_BAD = {
    "r1": "holds no patch",
    "r2": "features have 7 columns, the other slides in .* have 5",
    "r3": "NaN or infinite features",
    "r4": "holds features of conch, those of the other slides are of uni",
    "r5": "cannot be read as HDF5",
    "r6": "no features in",
}


def _write(path: Path, n_patches: int = 6, dim: int = 5, encoder: str = "uni") -> None:
    rng = np.random.default_rng(len(path.stem))
    with h5py.File(path, "w") as file:
        file["coords"] = np.arange(2 * n_patches).reshape(n_patches, 2) * 256
        file["features"] = rng.normal(size=(n_patches, dim)).astype(np.float32)
        file["features"].attrs["encoder"] = encoder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twelve regions of twelve patients and two classes; the files of six are bad."""
    folder = tmp_path / "features"
    folder.mkdir()
    (tmp_path / "x.png").touch()
    rows = [{"slide_id": f"r{i}", "path": "x.png", "tissue": "ab"[i // 2 % 2], "age": i / 10} for i in range(18)]
    pd.DataFrame(rows).to_csv(tmp_path / "cohort.csv", index=False)
    for row in rows:
        _write(folder / f"{row['slide_id']}.h5")
    _write(folder / "r1.h5", n_patches=0)
    _write(folder / "r2.h5", dim=7)
    with h5py.File(folder / "r3.h5", "a") as file:
        file["features"][0, 0] = np.nan
    _write(folder / "r4.h5", encoder="conch")
    (folder / "r5.h5").write_bytes(b"no HDF5")
    (folder / "r6.h5").unlink()
    return tmp_path / "cohort.csv"


def test_bad_slides_are_left_out_with_a_reason_and_the_run_goes_on(script: Script, table: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    data = ["data=table", f"data.table={table}", "data.kind=regions", "data.label=tissue"]
    task = ["task=table", "task.regression=[age]", "trainer=cpu", "trainer.max_epochs=1"]
    features = [f"features_dir={tmp_path / 'features'}", f"hydra.run.dir={run_dir}"]
    assert script("train", *data, *task, *features) == 3
    status = pd.read_csv(run_dir / "status.csv").set_index("slide_id")
    assert list(status.index[status["status"] == "failed"]) == list(_BAD)
    for slide_id, reason in _BAD.items():
        assert pd.Series([status["reason"][slide_id]]).str.contains(f"^{slide_id}: .*{reason}").all()
    predictions = pd.read_parquet(run_dir / "predictions.parquet")
    assert set(predictions["slide_id"]) == {f"r{i}" for i in range(18)} - set(_BAD)
    assert json.loads((run_dir / "status.json").read_text())["n_failed_slides"] == len(_BAD)
