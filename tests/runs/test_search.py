from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from src.data.files import digest
from src.index.folder import read_manifest
from tests.runs.conftest import Script


def _regions(table: Path, *more: str) -> list[str]:
    return ["data=table", f"data.table={table}", "data.kind=regions", "data.label=tissue", *more]


def test_protocol_writes_everything_a_run_promises(script: Script, regions: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert script("search", *_regions(regions, f"hydra.run.dir={run}", "logger=csv")) == 0
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "metrics.json", "rankings.parquet", "timing.json", "report.html", "status.json"} <= names
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"value", "ci95", "n_queries", "per_class"} <= set(metrics["top1"])
    assert metrics["top1"]["n_queries"] == 8
    rankings = pd.read_parquet(run / "rankings.parquet")
    assert (rankings["query_patient"] != rankings["hit_patient"]).all()


def test_second_run_reuses_features_and_index(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script("search", *_regions(regions, f"hydra.run.dir={tmp_path / 'a'}"))
    first = (tmp_path / "a" / "rankings.parquet").read_bytes()
    script("search", *_regions(regions, f"hydra.run.dir={tmp_path / 'b'}"))
    log = (tmp_path / "b" / "search.log").read_text()
    assert "0 made, 8 reused, 0 failed" in log
    assert "index: reused" in log
    assert (tmp_path / "b" / "rankings.parquet").read_bytes() == first
    built, reused = (json.loads((tmp_path / run / "timing.json").read_text()) for run in "ab")
    assert reused["build_s"] == built["build_s"] > 0
    assert reused["index_bytes_per_row"] == pytest.approx(built["index_size_bytes"] / 8, abs=0.1)
    assert reused["index_bytes_per_slide"] == reused["index_bytes_per_row"]
    assert reused["area_mm2_per_slide"] == pytest.approx(0.15 * 0.11)  # 300 x 220 px of 0.5 um
    assert "memory_peak_bytes" in reused


def test_cost_of_the_encoder_is_measured_once_and_kept(script: Script, regions: Path, tmp_path: Path) -> None:
    for run in "ab":
        script("search", *_regions(regions, f"hydra.run.dir={tmp_path / run}"))
    first, second = (json.loads((tmp_path / run / "timing.json").read_text()) for run in "ab")
    assert first["encode_ms_per_patch"] > 0
    assert second["encode_ms_per_patch"] == first["encode_ms_per_patch"]
    assert first["flops_per_patch"] is None


def test_metrics_of_another_label_need_no_search(script: Script, regions: Path, tmp_path: Path) -> None:
    script("search", *_regions(regions, f"hydra.run.dir={tmp_path / 'a'}"))
    again = [f"rankings={tmp_path / 'a'}", "eval.label=other", f"hydra.run.dir={tmp_path / 'b'}"]
    assert script("search", *_regions(regions, *again)) == 0
    assert "index" not in (tmp_path / "b" / "search.log").read_text()
    before, after = (json.loads((tmp_path / run / "metrics.json").read_text()) for run in "ab")
    assert set(before["top1"]["per_class"]) == {"gland", "stroma"}
    assert set(after["top1"]["per_class"]) == {"a", "b"}


def test_recall_against_exact_is_measured_and_kept(script: Script, regions: Path, tmp_path: Path) -> None:
    script("search", *_regions(regions, "eval.recall_against_exact=3", f"hydra.run.dir={tmp_path / 'a'}"))
    script("search", *_regions(regions, f"rankings={tmp_path / 'a'}", f"hydra.run.dir={tmp_path / 'b'}"))
    for run in "ab":
        metrics = json.loads((tmp_path / run / "metrics.json").read_text())
        assert metrics["recall@3_vs_exact"]["value"] == 1.0
        assert metrics["recall@3_vs_exact"]["n_queries"] == 8
    assert not list((tmp_path / "a").glob(".exact*"))


def test_slides_are_matched_by_mutation_and_those_not_sequenced_take_no_part(
    script: Script, regions: Path, tmp_path: Path
) -> None:
    run, again = tmp_path / "a", tmp_path / "b"
    pd.read_csv(regions).assign(TP53_cls=[0, 1, 2, 0, 1, 1, 2, 0]).to_csv(regions, index=False)
    experiment = ["experiment=here_slide_retrieval", "index=flat", "patching.regions.patch_size_px=64"]
    assert script("search", *_regions(regions, *experiment, f"hydra.run.dir={run}")) == 0
    assert json.loads((run / "metrics.json").read_text())["mAP@5"]["n_queries"] == 8
    mutation = [*experiment, "eval.label=TP53_cls", f"rankings={run}", f"hydra.run.dir={again}"]
    assert script("search", *_regions(regions, *mutation)) == 0
    metrics = json.loads((again / "metrics.json").read_text())
    assert metrics["mAP@5"]["n_queries"] == 6
    assert set(metrics["mAP@5"]["per_class"]) == {"0", "1"}


def test_query_finds_itself_first_with_pictures(script: Script, regions: Path, tmp_path: Path) -> None:
    index, run = tmp_path / "index", tmp_path / "run"
    assert script("build_index", *_regions(regions, f"index_dir={index}")) == 0
    query = regions.parent / "r3.png"
    assert script("search", f"index_dir={index}", f"query={query}", "query.mpp=0.5", "k=3", f"hydra.run.dir={run}") == 0
    hits = pd.read_parquet(run / "hits.parquet")
    assert hits["slide_id"].iloc[0] == "r3"
    assert hits["distance"].iloc[0] == pytest.approx(0, abs=1e-6)
    assert len(hits) == 3
    html = (run / "report.html").read_text()
    assert "r3" in html
    assert "data:image/" in html


def test_patient_of_the_query_can_be_left_out(script: Script, regions: Path, tmp_path: Path) -> None:
    query = [f"query={regions.parent / 'r3.png'}", "query.mpp=0.5", "query.patient=p1"]
    assert script("search", *_regions(regions, *query, f"hydra.run.dir={tmp_path / 'run'}")) == 0
    hits = pd.read_parquet(tmp_path / "run" / "hits.parquet")
    assert len(hits) == 6
    assert "p1" not in set(hits["patient_id"])


def test_index_refuses_another_encoder(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    script("build_index", *_regions(regions, f"index_dir={index}"))
    query = regions.parent / "r3.png"
    assert script("search", f"index_dir={index}", f"query={query}", "query.mpp=0.5", "encoder=uni") == 2
    assert "was built with encoder=stain_texture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval.k=[0]"], "expected numbers from 1"),
        (["data=here101"], "data.root has no value; set data.root=VALUE"),
        (["eval.metrics=[mmv]"], "'mmv' is not known; choose from"),
        (["index.metric=dot"], "index flat: metric is 'dot'"),
        (["data.table=nowhere.csv"], "nowhere.csv"),
        (["data.label=null"], "set data.label to one of ['tissue', 'other']"),
        (["query=nowhere.png"], "query.image=nowhere.png: there is no such file"),
        (["encoder=mobilenetv2"], "set encoder.checkpoint=FILE"),
    ],
)
def test_error_is_one_line_that_says_what_to_do(
    script: Script, regions: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert script("search", *(arguments if "data=here101" in arguments else _regions(regions, *arguments))) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_query_without_mpp_says_what_to_set(script: Script, regions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("search", *_regions(regions, f"query={regions.parent / 'r3.png'}")) == 2
    assert "set query.mpp" in capsys.readouterr().err


def test_broken_slide_is_reported_and_the_others_go_on(script: Script, regions: Path, tmp_path: Path) -> None:
    (regions.parent / "r5.png").write_bytes(b"no image")
    run = tmp_path / "run"
    assert script("search", *_regions(regions, f"hydra.run.dir={run}")) == 3
    assert len(pd.read_parquet(run / "rankings.parquet")["query_id"].unique()) == 7
    (status,) = tmp_path.glob("cache/cohort/features/*/status.csv")
    table = pd.read_csv(status).set_index("slide_id")
    assert table.loc["r5", "status"] == "unreadable"
    assert (table.drop("r5")["status"] == "ok").all()
    assert script("search", *_regions(regions, "strict=false")) == 0


def test_features_of_clam_are_searched_without_extraction(script: Script, regions: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = tmp_path / "h5_files"
    features.mkdir()
    for i in range(8):
        with h5py.File(features / f"r{i}.h5", "w") as file:
            file["features"] = rng.normal(i % 4 < 2, 0.3, (6, 32)).astype(np.float32)
            file["coords"] = np.arange(12, dtype=np.int32).reshape(6, 2) * 256
    run = tmp_path / "run"
    assert script("search", *_regions(regions, f"features_dir={features}", f"hydra.run.dir={run}")) == 0
    assert json.loads((run / "metrics.json").read_text())["top1"]["value"] > 0.8
    assert not (tmp_path / "cache" / "cohort" / "features").exists()


def test_given_feature_file_that_cannot_be_used_is_reported_and_the_others_go_on(
    script: Script, regions: Path, tmp_path: Path
) -> None:
    features, run = tmp_path / "h5_files", tmp_path / "run"
    features.mkdir()
    for i in range(7):
        values = np.random.default_rng(i).normal(size=(3, 8 if i else 9)).astype(np.float32)
        with h5py.File(features / f"r{7 - i}.h5", "w") as file:
            file["features"] = np.full_like(values, np.nan) if i == 1 else values
            file["coords"] = np.zeros((3, 2), np.int32)
    assert script("search", *_regions(regions, f"features_dir={features}", f"hydra.run.dir={run}")) == 3
    table = pd.read_csv(run / "status.csv").set_index("slide_id")
    reasons = table.loc[table["status"] == "failed", "reason"].to_dict()
    assert set(reasons) == {"r0", "r6", "r7"}
    assert "no features" in reasons["r0"]
    assert "NaN" in reasons["r6"]
    assert "9 columns" in reasons["r7"]


def test_a_query_mosaic_is_chosen_for_an_index_that_is_there(script: Script, regions: Path, tmp_path: Path) -> None:
    index, run = tmp_path / "index", tmp_path / "run"
    grid = ["patching=grid", "patching.regions.patch_size_px=64"]
    assert script("build_index", "mosaic=yottixel", *_regions(regions, *grid, f"index_dir={index}")) == 0
    query = [f"index_dir={index}", "+mosaic@engine.query_mosaic=retccl", "engine.query_mosaic.percent=50.0"]
    assert script("search", *query, f"hydra.run.dir={run}") == 0
    engine = OmegaConf.load(run / "config.yaml").engine
    assert engine.query_mosaic == {
        "_target_": "src.index.mosaics.retccl.Retccl",
        **{"n_clusters": 9, "percent": 50.0, "n_init": 10, "seed": 0},
    }
    assert "index: reused" in (run / "search.log").read_text()


def test_each_mosaic_is_drawn_on_request(script: Script, regions: Path, tmp_path: Path) -> None:
    run, plain = tmp_path / "run", tmp_path / "plain"
    arguments = _regions(regions, "mosaic=yottixel", "patching=grid", "patching.regions.patch_size_px=32")
    assert script("search", *arguments, "mosaic_previews=true", f"hydra.run.dir={run}") == 0
    assert {path.name for path in (run / "mosaics").iterdir()} == {f"r{i}.png" for i in range(8)}
    assert 'href="mosaics"' in (run / "report.html").read_text()
    assert script("search", *arguments, f"hydra.run.dir={plain}") == 0
    assert not (plain / "mosaics").exists()


def test_a_mosaic_by_colour_says_what_to_do_with_feature_files_of_other_tools(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(8):
        (tmp_path / "h5_files").mkdir(exist_ok=True)
        with h5py.File(tmp_path / "h5_files" / f"r{i}.h5", "w") as file:
            file["features"] = np.random.default_rng(i).normal(size=(6, 32)).astype(np.float32)
            file["coords"] = np.arange(12, dtype=np.int32).reshape(6, 2) * 256
    given = _regions(regions, f"features_dir={tmp_path / 'h5_files'}")
    assert script("search", "mosaic=yottixel", *given) == 2
    assert "r0: its feature file holds no patch colours" in capsys.readouterr().err.splitlines()[-1]
    assert script("search", "mosaic=retccl", *given) == 0


def test_protocol_runs_on_an_index_folder_as_it_is(script: Script, regions: Path, tmp_path: Path) -> None:
    index, run = tmp_path / "index", tmp_path / "run"
    script("build_index", "engine=here", "patching.regions.patch_size_px=64", *_regions(regions, f"index_dir={index}"))
    before = (index / "manifest.json").read_bytes()
    assert script("search", f"index_dir={index}", "eval=leave_one_slide_out", f"hydra.run.dir={run}") == 0
    assert (index / "manifest.json").read_bytes() == before
    assert "index: reused" in (run / "search.log").read_text()
    rankings = pd.read_parquet(run / "rankings.parquet")
    assert (rankings["query_patient"] == rankings["hit_patient"]).any()
    assert (rankings["query_id"] != rankings["hit_slide"]).all()


def test_an_index_from_before_heads_and_backgrounds_is_searched_without_significance(
    script: Script, regions: Path, tmp_path: Path
) -> None:
    index, run = tmp_path / "index", tmp_path / "run"
    arguments = ["engine=here", "index=flat", "index.metric=l2", "patching.regions.patch_size_px=64"]
    script("build_index", *arguments, *_regions(regions, f"index_dir={index}"))
    manifest = read_manifest(index)
    del manifest["weights"], manifest["sha256"]["background.npy"], manifest["config"]["head"]
    manifest["config"]["code"] = {"_target_": manifest["config"]["code"]["_target_"]}
    for key in ("background", "official_squared_score"):
        del manifest["config"]["engine"][key]
    (index / "background.npy").unlink()
    (index / "manifest.json").write_text(json.dumps({**manifest, "manifest_digest": digest(manifest)}))
    query = [f"query={regions.parent / 'r3.png'}", "query.mpp=0.5", f"hydra.run.dir={run}"]
    assert script("search", f"index_dir={index}", *query) == 0
    assert pd.read_parquet(run / "hits.parquet")["slide_id"].iloc[0] == "r3"
    assert "has no background, so its hits have no z and p" in (run / "search.log").read_text()


def test_missing_index_is_not_built_of_another_cohort(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("search", f"index_dir={tmp_path / 'nowhere'}", "query=a.png") == 2
    assert "holds no index; build it with build_index.py" in capsys.readouterr().err


def test_damaged_index_is_refused_with_the_command_that_rebuilds_it(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "index"
    script("build_index", *_regions(regions, f"index_dir={index}"))
    file = index / "index.faiss"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    query = regions.parent / "r3.png"
    assert script("search", f"index_dir={index}", f"query={query}", "query.mpp=0.5") == 2
    assert f"python build_index.py index_dir={index}" in capsys.readouterr().err


def test_patches_can_be_the_queries(script: Script, regions: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = _regions(regions, "patching=grid", "patching.regions.patch_size_px=64", "eval=leave_one_patch_out")
    assert script("search", *arguments, f"hydra.run.dir={run}") == 0
    rankings = pd.read_parquet(run / "rankings.parquet")
    assert rankings["query_id"].nunique() == 8 * 4 * 3
    assert (rankings["query_id"] != rankings["hit_id"]).all()


def test_wandb_offline_gets_table_images_and_manifest(
    script: Script, regions: Path, tmp_path: Path, offline_wandb: None
) -> None:
    run = tmp_path / "run"
    assert script("search", *_regions(regions, "logger=wandb", f"hydra.run.dir={run}")) == 0
    (recorded,) = run.glob("wandb/offline-run-*")
    media = [path.suffix for path in (recorded / "files" / "media").rglob("*.*")]
    assert ".json" in media
    assert ".png" in media


@pytest.mark.parametrize("block", ["query={{image: {path}, mpp: 0.5}}", "query.image={path}", "query={path}"])
def test_query_and_its_image_are_one_key(script: Script, regions: Path, tmp_path: Path, block: str) -> None:
    query = block.format(path=regions.parent / "r3.png")
    assert script("search", *_regions(regions, query, "query.mpp=0.5", f"hydra.run.dir={tmp_path / 'run'}")) == 0
    assert pd.read_parquet(tmp_path / "run" / "hits.parquet")["slide_id"].iloc[0] == "r3"
