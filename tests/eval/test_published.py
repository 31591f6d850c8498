from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from src.errors import ConfigError
from src.eval.leaderboard import Leaderboard
from src.eval.leaderboard_files import write_leaderboard
from src.eval.published import COLUMNS, beside_ours, read_published
from src.eval.run import Run
from src.eval.variants import METRICS
from src.runs.published_tables import published_tables

METRIC = {"mAP@5": {"value": 0.5, "per_class": {"GBM": 0.75}}}


def run(name: str, cohort: str, label: str = "organ", status: str = "ok") -> Run:
    return Run(name, [f"engine={name}"], status, metrics=METRIC if status == "ok" else {}, cohort=cohort, label=label)


def published(tmp_path: Path, *rows: str) -> pd.DataFrame:
    file = tmp_path / "published.csv"
    file.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return read_published([file])


def test_values_of_the_same_cohort_and_label_stand_beside_our_run_of_the_engine(tmp_path: Path) -> None:
    table = published(
        tmp_path,
        "paper,tcga,,sish,mAP@5,,0.25,",
        "paper,tcga,organ,sish,mAP@5,GBM,0.5,x",
        "paper,tcga,subtype,sish,mAP@5,,0.1,",
        "paper,nci,,sish,mAP@5,,0.1,",
        "paper,tcga,,retccl,mAP@5,,0.125,",
        "paper,tcga,,sish,acc@1,,0.75,",
    )
    shown = beside_ours(table, Leaderboard.of([run("here", "tcga"), run("sish", "tcga")]))
    assert shown["value"].tolist() == [0.25, 0.5, 0.125, 0.75]
    assert shown["run"].tolist() == ["sish", "sish", "", "sish"]
    assert shown["ours"].fillna(-1).tolist() == [0.5, 0.75, -1, -1]


def test_a_run_without_a_result_has_no_published_values_beside_it(tmp_path: Path) -> None:
    table = published(tmp_path, "paper,tcga,,sish,mAP@5,,0.25,")
    board = Leaderboard.of([run("sish", "tcga", status="skipped"), run("here", "other")])
    assert beside_ours(table, board).empty


def test_leaderboard_shows_published_values_and_where_they_come_from(tmp_path: Path) -> None:
    board = Leaderboard.of([run("sish", "tcga")])
    table = beside_ours(published(tmp_path, "A & B,tcga,,sish,mAP@5,,0.25,x|y"), board)
    write_leaderboard(board, tmp_path, published=table)
    page, text = (tmp_path / "leaderboard.html").read_text(), (tmp_path / "leaderboard.md").read_text()
    assert "Published on the same cohort" in page
    assert "A &amp; B; x|y" in page
    assert "| tcga | sish | mAP@5 |  | 0.250 | 0.500 | sish | A & B | x&#124;y |" in text
    assert pd.read_csv(tmp_path / "leaderboard_published.csv")["ours"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("row", "message"), [("p,c,,e,m,,high,", "line 2: value is 'high', expected a number"), ("p,c,,e,m,,,", "line 2")]
)
def test_value_that_is_no_number_is_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        published(tmp_path, row)


def test_table_without_a_column_or_without_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short.csv").write_text("source,cohort\n")
    with pytest.raises(ConfigError, match="column label is missing"):
        read_published([tmp_path / "short.csv"])
    with pytest.raises(ConfigError, match="cannot be read as CSV"):
        read_published([tmp_path / "none.csv"])


def test_what_cannot_be_read_costs_a_sweep_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert published_tables(str(tmp_path / "none.csv")).empty
    assert "no published values" in caplog.text
    assert published_tables(None).empty


def test_tables_of_the_repository_are_tidy() -> None:
    table = published_tables("auto")
    assert not table.empty
    assert table["source"].ne("").all()
    assert not table.duplicated().any()
    shares = table[table["metric"].str.contains("@")]
    assert shares["value"].between(0, 1).all()
    ours = {metric.partition("@")[0] for metric in table["metric"]} & set(METRICS)
    assert {"mMV", "nejm/mMV", "nejm/mAP"} <= ours
    of_group = shares[(shares["cohort"] == "tcga_brain") & (shares["class"] == "GBM") & (shares["engine"] == "sish")]
    assert math.isclose(of_group["value"].item(), 0.8886)
