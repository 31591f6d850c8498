"""SISH from slides to rankings: the VQ-VAE is trained on the cohort, its keys are stored, searched and remembered."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pandas as pd
import pytest

from src.data.files import digest
from tests.runs.conftest import Script

SMALL = (
    *("engine=sish", "encoder=stain_texture", "patching.regions.patch_size_px=64", "key_encoder.input_px=128"),
    *("key_encoder.training.n_channels=4", "key_encoder.training.crop_px=32", "key_encoder.training.n_steps=4"),
    *("key_encoder.training.batch_size=4", "index.max_distance=200"),
)


def arguments(table: Path, *more: str) -> list[str]:
    return ["data=table", f"data.table={table}", "data.kind=regions", "data.label=tissue", *SMALL, *more]


def test_it_trains_once_and_answers(script: Script, regions: Path, tmp_path: Path) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    assert script("search", *arguments(regions, f"hydra.run.dir={run}")) == 0
    rankings = pd.read_parquet(run / "rankings.parquet")
    assert len(rankings)
    assert (rankings["query_patient"] != rankings["hit_patient"]).all()
    (checkpoint,) = (tmp_path / "cache").glob("*/checkpoints/vqvae-*.ckpt")
    assert f"trained {checkpoint.relative_to(tmp_path)}" in (run / "search.log").read_text()
    assert script("search", *arguments(regions, f"hydra.run.dir={again}")) == 0
    log = (again / "search.log").read_text()
    assert f"reused {checkpoint.relative_to(tmp_path)}" in log
    assert "index: reused" in log
    assert pd.read_parquet(again / "rankings.parquet").equals(rankings)


def test_features_hold_the_keys_and_the_index_names_the_weights(script: Script, regions: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    assert script("build_index", *arguments(regions, f"index_dir={index}")) == 0
    (folder,) = (tmp_path / "cache").glob("*/features/vqvae+stain_texture-*")
    with h5py.File(folder / "r0.h5") as file:
        sums = file["features"][:, :3]
        assert file["features"].shape[1] == 3 + 234
    assert (sums == sums.round()).all()
    assert (sums[:, 0] >= 4 * sums[:, 1]).all()
    manifest = json.loads((index / "manifest.json").read_text())
    (checkpoint,) = (tmp_path / "cache").glob("*/checkpoints/vqvae-*.ckpt")
    assert manifest["config"]["key_encoder"]["checkpoint"] == str(checkpoint)
    assert manifest["encoder"] == "vqvae+stain_texture"
    assert manifest["code_kind"] == "keyed"
    trained = json.loads(checkpoint.with_suffix(".json").read_text())
    del trained["trained_s"]
    assert checkpoint.stem == f"vqvae-{digest(trained)}"


def test_an_index_is_searched_with_the_weights_it_was_built_with(script: Script, regions: Path, tmp_path: Path) -> None:
    index, run = tmp_path / "index", tmp_path / "run"
    script("build_index", *arguments(regions, f"index_dir={index}", "index.include_equal_key=true"))
    query = [f"query={regions.parent / 'r3.png'}", "query.mpp=0.5", "ranking=nearest_patch", f"hydra.run.dir={run}"]
    assert script("search", f"index_dir={index}", *query) == 0
    hits = pd.read_parquet(run / "hits.parquet")
    assert (hits["slide_id"].iloc[0], hits["distance"].iloc[0]) == ("r3", 0)


def test_patches_are_searched_one_by_one(script: Script, regions: Path, tmp_path: Path) -> None:
    patch_mode = [argument.replace("engine=sish", "engine=sish_patch") for argument in arguments(regions)]
    chosen = [*patch_mode, "patching=grid", "eval=leave_one_patch_out", f"hydra.run.dir={tmp_path / 'run'}"]
    assert script("search", *chosen) == 0
    rankings = pd.read_parquet(tmp_path / "run" / "rankings.parquet")
    assert (rankings["query_id"] != rankings["hit_id"]).all()


def test_numbers_too_coarse_for_keys_are_refused(
    script: Script, regions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("search", *arguments(regions, "feature_dtype=float16")) == 2
    assert "feature_dtype=float16 is too coarse for keys" in capsys.readouterr().err


def test_features_without_keys_are_refused(script: Script, regions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without = [argument for argument in arguments(regions) if not argument.startswith("key_encoder.")]
    assert script("search", *without, "key_encoder=none") == 2
    assert "are no keys of patches" in capsys.readouterr().err
