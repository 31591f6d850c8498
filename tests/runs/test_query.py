from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

from src.models.heads.here import Here
from src.models.multitask import ClassColumn, MultiTask
from src.models.trained_head import TrainedHead
from tests.runs.conftest import Script

_DIM = 234  # of stain_texture
_CUT = ["engine=here", "index=flat", "patching.regions.patch_size_px=64"]


@pytest.fixture
def searched(script: Script, regions: Path, tmp_path: Path) -> Path:
    """An index of 8 regions, each cut into patches of 64 px, with a trained head; returns its folder."""
    torch.manual_seed(0)
    head = Here(_DIM, 16, 8)
    outputs = torch.nn.Linear(16, 4)
    task = MultiTask((ClassColumn("TP53_cls", ("0", "1", "2"), "2"),), ("HALLMARK_HYPOXIA_sum",))
    TrainedHead(head, outputs, task).write(tmp_path / "head.pt")
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    assert script("build_index", *_CUT, *data, f"head.checkpoint={tmp_path / 'head.pt'}", "index_dir=index") == 0
    return regions.parent


def hits(run: str) -> pd.DataFrame:
    return pd.read_parquet(Path(run) / "hits.parquet")


def ask(script: Script, query: object, run: str, *more: str) -> int:
    return script("search", "index_dir=index", f"query={query}", "query.mpp=0.5", *more, f"hydra.run.dir={run}")


def test_hits_carry_chance_and_labels(script: Script, searched: Path) -> None:
    assert ask(script, searched / "r3.png", "run", "k=4") == 0
    table = hits("run")
    expected = ["rank", "slide_id", "patient_id", "x", "y", "distance", "score", "z", "p", "p_adjusted", "tissue"]
    assert table.columns.tolist() == [*expected, "other"]
    assert table["rank"].tolist() == [0, 1, 2, 3]
    assert table["p"].between(0, 1).all()
    assert (table["p_adjusted"] >= table["p"]).all()
    assert np.corrcoef(table["z"], np.sqrt(table["distance"]))[0, 1] > 0.999


def test_without_a_background_hits_have_no_chance(script: Script, regions: Path) -> None:
    data = ["data=table", f"data.table={regions}", "data.kind=regions"]
    query = [f"query={regions.parent / 'r3.png'}", "query.mpp=0.5", "engine.background=null"]
    assert script("search", *data, *query, "hydra.run.dir=run") == 0
    assert hits("run")[["z", "p", "p_adjusted"]].isna().all(axis=None)
    assert script("search", *data, *query, "query.halvings=auto") == 2


def test_images_are_pooled_into_one_query(script: Script, searched: Path) -> None:
    one, other = searched / "r3.png", searched / "r0.png"
    for query, run in ((one, "one"), (f"[{one},{one}]", "twice"), (f"[{one},{other}]", "both")):
        assert ask(script, query, run) == 0
    once, twice, both = (hits(run) for run in ("one", "twice", "both"))
    # One unit in the last place of a distance, 6e-8, moves z by 2e-5.
    pd.testing.assert_frame_equal(once, twice, check_exact=False, atol=5e-5)
    assert not np.allclose(once["distance"], both["distance"], atol=1e-4)
    patches = pd.read_parquet("both/query_patches.parquet")
    assert patches.groupby("image").size().to_dict() == {str(one): 12, str(other): 12}
    assert patches["attention"].sum() == pytest.approx(1, abs=1e-5)
    page = Path("both/report.html").read_text()
    assert "r3 with its patches" in page
    assert "r0 with its patches" in page


def test_halved_query_is_the_search_with_an_image_halved_by_hand(script: Script, searched: Path) -> None:
    with PIL.Image.open(searched / "r3.png") as image:
        image.resize((150, 110), PIL.Image.Resampling.BICUBIC).save("half.png")
    assert ask(script, searched / "r3.png", "halved", "query.halvings=1") == 0
    assert ask(script, "half.png", "by_hand") == 0
    pd.testing.assert_frame_equal(hits("halved"), hits("by_hand"))
    patches = pd.read_parquet("halved/query_patches.parquet")
    assert patches[["x", "y", "width", "height"]].to_numpy().tolist() == [[22, 46, 128, 128], [150, 46, 128, 128]]
    assert not Path("halved/scales.csv").exists()


def test_auto_answers_with_the_scale_of_the_lowest_z(
    script: Script, searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(script, searched / "r3.png", "auto", "query.halvings=auto") == 0
    scales = pd.read_csv("auto/scales.csv")
    assert scales["halvings"].tolist() == [0, 1]
    assert scales["patches"].tolist() == [12, 2]
    shown = scales[scales["is_shown"]].iloc[0]
    assert shown["z"] == scales["z"].min()
    assert ask(script, searched / "r3.png", "fixed", f"query.halvings={shown['halvings']}") == 0
    pd.testing.assert_frame_equal(hits("auto"), hits("fixed"))
    assert "scales, * is shown" in capsys.readouterr().out
    assert "Scales" in Path("auto/report.html").read_text()


def test_head_says_what_it_attends_to_and_what_it_predicts(
    script: Script, searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(script, searched / "r3.png", "run", "k=3") == 0
    attention = pd.read_parquet("run/query_patches.parquet")["attention"]
    assert attention.sum() == pytest.approx(1, abs=1e-5)
    assert attention.nunique() > 1
    predictions = pd.read_csv("run/predictions.csv")
    assert predictions["target"].tolist() == ["TP53_cls", "HALLMARK_HYPOXIA_sum"]
    assert predictions["class_name"].tolist()[0] == "loss"
    assert "HYPOXIA" in capsys.readouterr().out
    page = Path("run/report.html").read_text()
    assert page.count("attention there") == 3
    assert "TP53 loss" in page


def test_heat_maps_are_left_out_where_features_are_missing(script: Script, searched: Path) -> None:
    for file in Path("cache/cohort/features").rglob("*.h5"):
        file.unlink()
    assert ask(script, searched / "r3.png", "run") == 0
    assert "attention there" not in Path("run/report.html").read_text()
    assert pd.read_parquet("run/query_patches.parquet")["attention"].notna().all()


def test_code_without_a_head_has_no_attention(script: Script, regions: Path) -> None:
    data = ["data=table", f"data.table={regions}", "data.kind=regions"]
    for engine in ("here", "patch_flat"):
        query = [f"query={regions.parent / 'r3.png'}", "query.mpp=0.5", "patching.regions.patch_size_px=64"]
        arguments = [f"engine={engine}", "patching=grid", *data, *query, f"hydra.run.dir={engine}"]
        assert script("search", *arguments) == 0
        assert pd.read_parquet(f"{engine}/query_patches.parquet")["attention"].isna().all()
        assert not Path(engine, "predictions.csv").exists()
        assert "Attention" not in Path(engine, "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query.halvings=8"], "r3.png, 300 x 220 px; at most 7 fits"),
        (["query.halvings=-1"], "query.halvings is -1, expected a whole number from 0, or auto"),
        (["query.patient=p9"], "query.patient=p9 is not in the index"),
        (["query.region=[0,0,400,10]"], "which is 300 x 220 pixels"),
    ],
)
def test_bad_question_is_one_line(
    script: Script, searched: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert ask(script, searched / "r3.png", "run", *arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


def test_loggers_get_hits_predictions_and_pictures(script: Script, searched: Path, offline_wandb: None) -> None:
    assert ask(script, searched / "r3.png", "run", "logger=wandb", "query.halvings=auto") == 0
    (media,) = Path("run").glob("wandb/offline-run-*/files/media")
    tables = {path.name.split("_")[0]: json.loads(path.read_text()) for path in media.rglob("*.table.json")}
    assert {"hits", "scales", "predictions"} <= set(tables)
    assert "z" in tables["hits"]["columns"]
    pictures = [path.name for path in media.rglob("*.png")]
    assert any(name.startswith("query") for name in pictures)
    assert any(name.startswith("hit_patches") for name in pictures)
    logged = pd.read_csv("run/csv/metrics.csv")
    assert {"first_hit/z", "first_hit/p", "predicted/TP53_cls"} <= set(logged)
