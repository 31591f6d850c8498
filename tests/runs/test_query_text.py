"""Queries in words, with an encoder whose words are known and with a tiny CLIP of random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from src.errors import ConfigError
from src.models.encoders.transformers_network import TransformersClip
from src.runs.query_text import text_of
from tests.runs.conftest import Script

SIDE = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY_CLIP = {"projection_dim": 8, "vision_config": {**SIDE, "image_size": 32, "patch_size": 16}, "text_config": SIDE}
WORDS = ["engine=plip", "encoder=stain_texture", "encoder._target_=tests.runs.words.ColourWords"]
NOTHING = {"image": None, "text": None, "mpp": None, "region": None, "patient": None, "halvings": 0}


def hits(run: str) -> pd.DataFrame:
    return pd.read_parquet(Path(run) / "hits.parquet")


def ask(script: Script, regions: Path, *arguments: str, run: str = "run") -> int:
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    return script("search", *data, *arguments, f"hydra.run.dir={run}")


@pytest.mark.parametrize("word", ["gland", "stroma"])
def test_words_find_the_images_they_describe(script: Script, regions: Path, word: str) -> None:
    assert ask(script, regions, *WORDS, f"query=much {word}", "k=4") == 0
    assert hits("run")["tissue"].tolist() == [word] * 4
    assert hits("run")["p"].notna().all()


def test_text_and_image_find_the_same_where_they_mean_the_same(script: Script, regions: Path) -> None:
    image = [f"query={regions.parent / 'r0.png'}", "query.mpp=0.5"]
    assert ask(script, regions, *WORDS, "query.text=gland", "query.patient=p0", run="text") == 0
    assert ask(script, regions, *WORDS, *image, "query.patient=p0", run="image") == 0
    assert hits("text")["tissue"].tolist() == hits("image")["tissue"].tolist()
    assert not {"r0", "r1"} & set(hits("text")["slide_id"])


def test_the_page_shows_the_words(script: Script, regions: Path) -> None:
    assert ask(script, regions, *WORDS, "query='<b>a</b> & a gland'") == 0
    page = Path("run/report.html").read_text()
    assert "<blockquote>&lt;b&gt;a&lt;/b&gt; &amp; a gland</blockquote>" in page
    assert "a query in words" in page
    assert not Path("run/query_patches.parquet").exists()


@pytest.mark.parametrize("engine", ["here_mosaic", "retccl"])
def test_mosaics_of_images_leave_words_alone(script: Script, regions: Path, engine: str) -> None:
    words = [*WORDS[1:], f"engine={engine}", "patching=whole_image", "index=flat", "ranking=nearest_patch"]
    assert ask(script, regions, *words, "query=gland", "k=2") == 0
    assert hits("run")["tissue"].tolist() == ["gland"] * 2


def test_a_clip_like_model_answers_text_on_a_saved_index(script: Script, regions: Path) -> None:
    torch.manual_seed(0)
    torch.save(TransformersClip(TINY_CLIP).build().state_dict(), "clip.pt")
    config = [f"+encoder.network.config.{key}={value}".replace("'", "") for key, value in TINY_CLIP.items()]
    tiny = ["encoder.checkpoint=clip.pt", *config, "encoder.dim=8"]
    tiny += ["encoder.transform.resize_px=32", "encoder.transform.crop_px=32", "index_dir=index"]
    data = ["data=table", f"data.table={regions}", "data.kind=regions"]
    assert script("build_index", "engine=plip", *tiny, *data) == 0
    for text in ("lymphocytes", "a normal colon"):
        assert script("search", "index_dir=index", f"query={text}", "k=8", f"hydra.run.dir={text[0]}") == 0
    assert sorted(hits("l")["slide_id"]) == sorted(hits("a")["slide_id"])
    assert hits("l")["distance"].tolist() != hits("a")["distance"].tolist()


def test_an_encoder_without_a_text_side_is_one_line(
    script: Script, regions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(script, regions, "engine=patch_flat", "encoder=stain_texture", "query=tumour") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "query 'tumour' is no file, so it is text; encoder=stain_texture has no text side; use encoder=clip" in last
    assert not Path("cache").exists()


def test_what_is_text_is_told_from_what_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(b"")
    for text in ("tumour", "e.g. fused glands."):
        assert text_of(OmegaConf.create({**NOTHING, "image": f" {text} "})) == text
    for image in ("nowhere.png", "nowhere.SVS", str(tmp_path / "scan"), None):
        assert text_of(OmegaConf.create({**NOTHING, "image": image})) is None
    assert text_of(OmegaConf.create({**NOTHING, "image": ["a.png", "tumour"]})) is None
    assert text_of(OmegaConf.create({**NOTHING, "text": "file.png"})) == "file.png"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"text": "a", "image": "tumour"}, "query.image='tumour' is no file, so it is text, and so is query.text"),
        ({"text": " "}, "query.text is empty"),
        ({"image": "tumour", "mpp": 0.5}, "query.mpp is of images, and the query 'tumour' is text"),
        ({"text": "tumour", "halvings": "auto"}, "query.halvings is of images"),
    ],
)
def test_words_with_what_only_images_have_are_refused(query: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        text_of(OmegaConf.create({**NOTHING, **query}))
