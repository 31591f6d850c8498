from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from src.data.cohort import Cohort
from src.errors import ConfigError
from src.interfaces import Rows
from src.runs.query_where import left_out_rows
from tests.runs.conftest import Script

ROWS = Rows(("a", "b", "c"), ("p", "p", "q"), np.array([0, 0, 1, 2, 2, 2]), np.zeros((6, 2), dtype=np.int64))


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Slides a, b and c of the index, and d, which is not in it."""
    (tmp_path / "x.png").touch()
    table = pd.DataFrame(
        {
            "slide_id": list("dcba"),
            "path": str(tmp_path / "x.png"),
            "patient_id": ["q", "q", "p", "p"],
            "mpp": 0.5,
            "site": ["skin", "colon", "colon", "lung"],
            "grade": [1, None, 2, 1],
        }
    )
    return Cohort("c", "regions", table, tmp_path)


def left_out(cohort: Cohort | None, where: dict[str, Any], patient: str | None = None) -> list[int] | None:
    rows = left_out_rows(OmegaConf.create({"patient": patient, "where": where}), ROWS, cohort)
    return None if rows is None else np.flatnonzero(rows).tolist()


def test_only_rows_of_slides_that_match_every_column_are_left(cohort: Cohort) -> None:
    assert left_out(cohort, {"site": "colon"}) == [0, 1]
    assert left_out(cohort, {"site": ["colon", "lung"]}) == []
    assert left_out(cohort, {"grade": [1, 2]}) == [3, 4, 5]
    assert left_out(cohort, {"site": "colon", "grade": 2}) == [0, 1, 3, 4, 5]
    assert left_out(cohort, {"patient_id": "q"}) == [0, 1, 2]
    assert left_out(cohort, {"site": "colon"}, patient="p") == [0, 1, 2]
    assert left_out(cohort, {}, patient="q") == [3, 4, 5]
    assert left_out(None, {}) is None


@pytest.mark.parametrize(
    ("where", "patient", "said"),
    [
        ({"sight": "colon"}, None, "where.sight: cohort c has no such column; it has patient_id, site, grade$"),
        ({"site": "skin"}, None, "where.site=skin: no slide of the index has it; they have colon, lung$"),
        ({"site": "lung", "grade": 2}, None, "no slide of the index has all of these together"),
        ({"site": "lung"}, "p", "leaves slides of patient p only"),
    ],
)
def test_what_leaves_nothing_is_one_line(cohort: Cohort, where: dict[str, Any], patient: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        left_out(cohort, where, patient)


def test_columns_of_a_cohort_that_is_not_at_hand_are_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"which is not at hand; set data\.table"):
        left_out(None, {"site": "colon"})


def test_a_query_gets_as_many_answers_of_its_kind_as_there_are(
    script: Script, regions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    query = [*data, f"query={regions.parent / 'r0.png'}", "query.mpp=0.5", "k=3"]
    assert script("search", *query, "query.where.tissue=stroma", "query.where.other=[a,b]", "hydra.run.dir=run") == 0
    hits = pd.read_parquet("run/hits.parquet")
    assert hits["tissue"].tolist() == ["stroma"] * 3
    assert script("search", *query, "query.where.tissue=bone") == 2
    assert "query.where.tissue=bone: no slide of the index has it; they have gland, stroma" in capsys.readouterr().err
