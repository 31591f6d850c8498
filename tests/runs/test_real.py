"""The commands of the README on real slides and regions."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.runs.conftest import Script

pytestmark = pytest.mark.real

_CHECKPOINT = "weights/timm_mobilenetv2_100_in1k_from_uint8_fp16.pth"


def test_here101_meets_the_recorded_baselines(script: Script, real_dir: Path, tmp_path: Path) -> None:
    baselines = pd.read_csv(real_dir / "baselines_here101.csv").query("excl_same_case and feat == 'mv2_448x336'")
    recorded = baselines.set_index("label")[["n_query", "top1", "mMV5", "mAP5", "chance_top1"]].astype(float)
    experiment = [
        "experiment=here101_patch_retrieval",
        f"data.root={real_dir / 'here101'}",
        f"encoder.checkpoint={real_dir / _CHECKPOINT}",
    ]
    for label in ("site", "structure", "cytoplasm", "label"):
        run, baseline = tmp_path / label, recorded.loc[label].to_dict()
        assert script("search", *experiment, f"eval.label={label}", f"hydra.run.dir={run}") == 0
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["top1"]["n_queries"] == baseline["n_query"]
        one_image = 1 / baseline["n_query"]
        assert metrics["top1"]["value"] == pytest.approx(baseline["top1"], abs=one_image)
        assert metrics["mMV@5"]["value"] == pytest.approx(baseline["mMV5"], abs=one_image)
        assert metrics["mAP@5"]["value"] == pytest.approx(baseline["mAP5"], abs=0.005)
        assert metrics["chance_top1"]["value"] == pytest.approx(baseline["chance_top1"], abs=0.001)


@pytest.fixture
def slides(real_dir: Path, tmp_path: Path) -> list[str]:
    """Two Aperio slides and two pyramids."""
    table = tmp_path / "slides.csv"
    table.write_text(
        "slide_id,path,mpp\n"
        "CMU-1,CMU-1-Small-Region.svs,\n"
        "TCGA-CR-7395,TCGA-CR-7395-01A-01-TS1.svs,0.5\n"
        "B4,derived_pyramids/her2st_B4.tif,\n"
        "C4,derived_pyramids/her2st_C4.tif,\n"
    )
    # The tinted glass of the pyramids is more saturated than CLAM's fixed threshold.
    return [
        "data=table",
        f"data.table={table}",
        f"data.root={real_dir / 'wsi'}",
        "tissue=otsu",
    ]


def test_region_of_a_slide_finds_its_own_patches_first(
    script: Script, real_dir: Path, slides: list[str], tmp_path: Path
) -> None:
    index, run = tmp_path / "index", tmp_path / "run"
    assert script("build_index", "engine=patch_flat", *slides, f"index_dir={index}") == 0
    region = f"query={real_dir / 'wsi' / 'derived_pyramids' / 'her2st_B4.tif'}", "query.region=[4000,4400,1024,1024]"
    arguments = [f"index_dir={index}", *region, "ranking=patches", "k=10", f"hydra.run.dir={run}"]
    assert script("search", *arguments) == 0
    hits = pd.read_parquet(run / "hits.parquet")
    assert (hits["slide_id"] == "B4").all()
    assert hits["x"].between(4000 - 186, 5024).all()
    assert hits["y"].between(4400 - 186, 5424).all()
    previews = next(tmp_path.glob("cache/slides/patches/*"))
    for kind, suffix in (("masks", "png"), ("stitches", "png"), ("geojson", "geojson")):
        assert (previews / kind / f"CMU-1.{suffix}").stat().st_size > 1000


def test_edge_cases_each_have_a_status_and_the_others_go_on(script: Script, real_dir: Path, tmp_path: Path) -> None:
    expected = {
        "good": ("CMU-1-Small-Region.svs", "ok"),
        "no_mpp": ("TCGA-CR-7395-01A-01-TS1.svs", "mpp_missing"),
        "small": ("edge_cases/small_16x16.svs", "unreadable"),
        "boxes": ("edge_cases/boxes_pyramid.tiff", "mpp_missing"),
        "dicom": ("edge_cases/boxes_dicom/boxes_0.dcm", "unreadable"),
        "unreadable": ("edge_cases/unreadable.svs", "unreadable"),
        "unopenable": ("edge_cases/unopenable.tiff", "unreadable"),
        "broken": ("edge_cases/broken.svs", "unreadable"),
        "missing": ("edge_cases/nowhere.svs", "unreadable"),
    }
    table = tmp_path / "edge.csv"
    pd.DataFrame([{"slide_id": name, "path": path} for name, (path, _) in expected.items()]).to_csv(table, index=False)
    data = ["data=table", f"data.table={table}", f"data.root={real_dir / 'wsi'}"]
    assert script("build_index", *data) == 3
    (status,) = tmp_path.glob("cache/edge/features/*/status.csv")
    found = pd.read_csv(status).set_index("slide_id")
    assert found["status"].to_dict() == {name: status for name, (_, status) in expected.items()}
    assert not found.drop("good")["reason"].str.contains("\n").any()
    assert script("build_index", *data, "strict=false") == 0
