"""Queries of several parts, with an encoder whose words are known and a head whose predictions are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from src.index.fusion import Fusion
from src.interfaces import Hit, Ranking
from tests.index.test_here_code import trained
from tests.runs.conftest import Script
from tests.runs.test_query_text import WORDS, ask, hits

HEAD = ["engine=here", "index=flat", "encoder=stain_texture", "patching=whole_image", "ranking=nearest_patch"]


def _ranking(run: str) -> Ranking:
    rows = hits(run).to_dict("records")
    fields = ("slide_id", "patient_id", "x", "y", "distance", "score")
    return Ranking(run, tuple(Hit(*(row[name] for name in fields)) for row in rows))


@pytest.mark.parametrize("method", ["rrf", "weighted"])
def test_image_and_words_give_what_their_rankings_give_together(script: Script, regions: Path, method: str) -> None:
    image = [f"query.image={regions.parent / 'r0.png'}", "query.mpp=0.5"]
    fusion = [f"query.fusion.method={method}", "query.fusion.weights.text=3"]
    shared = [*WORDS, "query.patient=p0"]
    assert ask(script, regions, *shared, *image, "k=8", run="image") == 0
    assert ask(script, regions, *shared, "query.text=stroma", "k=8", run="text") == 0
    assert ask(script, regions, *shared, *image, "query.text=stroma", *fusion, "k=3", run="both") == 0
    parts = {"image": _ranking("image"), "text": _ranking("text")}
    expected = Fusion(method, {"image": 1, "text": 3}).fuse("both", parts, 3)
    assert hits("both")["slide_id"].tolist() == [hit.slide_id for hit in expected]
    assert hits("both")["score"].tolist() == pytest.approx([hit.score for hit in expected])
    ranks = {hit.slide_id: rank for rank, hit in enumerate(parts["image"], 1)}
    assert hits("both")["image rank"].tolist() == [ranks[slide] for slide in hits("both")["slide_id"]]


def test_a_gene_finds_the_slides_that_the_head_predicts_it_for(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(234).write(tmp_path / "head.pt")
    head = [*HEAD, f"head.checkpoint={tmp_path / 'head.pt'}"]
    data = ["data=table", f"data.table={regions}", "data.kind=regions"]
    assert script("build_index", *head, *data, "index_dir=index") == 0
    predicted = pd.read_parquet("index/predictions.parquet").set_index("slide_id")
    target = str(predicted.columns[0])
    gene = target.removesuffix("_cls")
    assert script("search", "index_dir=index", f"query.gene={gene}", "k=8", "hydra.run.dir=gene") == 0
    ordered = predicted[target].sort_values(ascending=False, kind="stable")
    assert hits("gene")["score"].tolist() == pytest.approx(ordered.tolist())
    assert set(hits("gene")["slide_id"]) == set(ordered.index)

    image = [f"query.image={regions.parent / 'r3.png'}", "query.mpp=0.5"]
    assert script("search", "index_dir=index", *image, f"query.gene={gene}", "hydra.run.dir=both") == 0
    columns = hits("both").columns.tolist()
    assert columns.index("gene rank") == columns.index("image rank") + 1 == columns.index("p_adjusted") + 2
    assert "gene rank" in Path("both/report.html").read_text()

    capsys.readouterr()
    assert script("search", "index_dir=index", "query.gene=NOTHING") == 2
    assert f"the head has no such target; it has {target}" in capsys.readouterr().err.splitlines()[-1]


def test_a_gene_without_a_head_says_what_to_do(
    script: Script, regions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(script, regions, *HEAD, "query.gene=KRAS") == 2
    assert "query.gene=KRAS: the index knows no predictions; build it with head.checkpoint=" in capsys.readouterr().err
