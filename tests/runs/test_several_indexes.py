from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.runs.conftest import Script


@pytest.fixture
def indexes(script: Script, regions: Path, tmp_path: Path) -> str:
    """Indexes of the first five and the last three of eight regions, and one over all of them."""
    table = pd.read_csv(regions)
    for name, part in {"A": table.head(5), "B": table.tail(3), "all": table}.items():
        part.to_csv(tmp_path / "regions" / f"{name}.csv", index=False)
        data = ["data=table", f"data.table={regions.parent / f'{name}.csv'}", "data.kind=regions", "data.label=tissue"]
        assert script("build_index", *data, f"index_dir={name}") == 0
    return "index_dir=[A,B]"


def hits(run: str) -> pd.DataFrame:
    return pd.read_parquet(Path(run) / "hits.parquet")


def test_two_cohorts_are_searched_as_one_and_named(script: Script, indexes: str, regions: Path) -> None:
    query = [f"query={regions.parent / 'r2.png'}", "query.mpp=0.5", "k=6"]
    assert script("search", indexes, *query, "hydra.run.dir=both") == 0
    assert script("search", "index_dir=all", *query, "hydra.run.dir=one") == 0
    both, one = hits("both"), hits("one")
    same = ["rank", "slide_id", "patient_id", "x", "y", "distance", "score", "tissue"]
    pd.testing.assert_frame_equal(both[same], one[same])
    assert set(both["cohort"]) == {"A", "B"}
    assert (both["cohort"] == "A").equals(both["slide_id"] < "r5")
    html = Path("both/report.html").read_text()
    assert "cohort" in html


def test_one_of_the_cohorts_can_be_asked_for(script: Script, indexes: str, regions: Path) -> None:
    query = [f"query={regions.parent / 'r2.png'}", "query.mpp=0.5", "query.where.cohort=B", "hydra.run.dir=run"]
    assert script("search", indexes, *query) == 0
    assert sorted(hits("run")["slide_id"]) == ["r5", "r6", "r7"]


def test_what_does_not_join_is_one_line(
    script: Script, indexes: str, regions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = [f"query={regions.parent / 'r2.png'}", "query.mpp=0.5"]
    data = ["data=table", f"data.table={regions.parent / 'B.csv'}", "data.kind=regions"]
    assert script("build_index", *data, "index.metric=l2", "index_dir=other") == 0
    for folders, said in {
        "[A,all]": "is in the indexes of A and all; remove it from one",
        "[A,other]": "other: configuration of the parts is",
        "[A,nowhere]": "nowhere holds no index",
        "[A,A]": "index_dir names A twice",
    }.items():
        assert script("search", f"index_dir={folders}", *query) == 2
        assert said in capsys.readouterr().err
    assert script("search", indexes) == 2
    assert "a protocol takes one of them" in capsys.readouterr().err


def test_merged_indexes_are_the_one_over_all_slides(
    script: Script, indexes: str, regions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("build_index", "merge=[A,B]", "index_dir=merged") == 0
    assert Path("merged/index.faiss").read_bytes() == Path("all/index.faiss").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet("merged/rows.parquet"), pd.read_parquet("all/rows.parquet"))
    query = [f"query={regions.parent / 'r7.png'}", "query.mpp=0.5", "k=8", "hydra.run.dir=run"]
    assert script("search", "index_dir=merged", *query) == 0
    assert hits("run").set_index("slide_id")["tissue"].notna().all()
    assert script("build_index", "merge=[A,B]", "index_dir=all") == 2
    assert "choose a new folder" in capsys.readouterr().err
