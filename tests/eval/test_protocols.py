from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from src.errors import CohortError, ConfigError
from src.eval.protocols import RetrievalProtocol, Split, patch_table
from tests.eval.tables import COHORT, PATIENT_OF, ROWS, protocol

CONF = Path(__file__).resolve().parents[2] / "conf" / "eval"
SPLIT = Split("split", query=["query", "test"], database=["database", "train"])


def from_yaml(path: Path) -> RetrievalProtocol:
    with initialize_config_dir(str(CONF.parent), version_base=None):
        cfg = compose("search", [f"eval={path.stem}", "seed=7", "data.label=site"])
    made = instantiate(cfg.eval, _convert_="all")
    assert isinstance(made, RetrievalProtocol)
    return made


def found(made: RetrievalProtocol, slide_id: str, query_row: int | None = None) -> list[int]:
    mask = made.is_excluded(slide_id, PATIENT_OF[slide_id], ROWS, COHORT, query_row)
    return np.flatnonzero(~mask).tolist()


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_protocol_is_made_from_its_yaml(path: Path) -> None:
    made = from_yaml(path)
    assert made.name == path.stem
    assert made.label == "site"
    assert made.bootstrap.seed == 7


def test_leave_one_patient_out_finds_no_slide_of_the_query_patient() -> None:
    assert found(from_yaml(CONF / "leave_one_patient_out.yaml"), "a1") == [3, 4, 5]


def test_leave_one_slide_out_finds_other_slides_of_the_query_patient() -> None:
    assert found(from_yaml(CONF / "leave_one_slide_out.yaml"), "a1") == [2, 3, 4, 5]


def test_leave_one_patch_out_finds_all_but_the_query_patch() -> None:
    assert found(from_yaml(CONF / "leave_one_patch_out.yaml"), "a1", query_row=1) == [0, 2, 3, 4, 5]


def test_split_finds_the_database_part_without_the_query_patient() -> None:
    made = from_yaml(CONF / "database_query_split.yaml")
    assert made.queries(COHORT) == ["a1", "d1"]
    assert found(made, "a1") == [3, 4]
    assert found(made, "d1") == [2, 3, 4]


def test_vertical_search_finds_slides_of_the_query_site_only() -> None:
    made = replace(protocol(leave_out="slide"), within="site")
    assert found(made, "a1") == [2, 3]
    assert found(made, "c1") == []
    assert found(made, "d1") == []  # its site is not known


def test_slides_of_the_same_case_can_be_left_out() -> None:
    assert found(protocol(leave_out="case"), "b1") == [0, 1, 2, 5]


def test_a_column_that_the_cohort_lacks_or_leaves_empty_is_named_before_the_search() -> None:
    made = protocol()
    for asked, message in [
        (replace(made, leave_out="block"), "no column 'block', which eval names; it has slide_id, patient_id, site"),
        (replace(made, aggregate="site"), "site is empty in row 4"),
        (replace(made, within="organ"), "no column 'organ'"),
    ]:
        with pytest.raises(CohortError, match=message):
            asked.check(COHORT)
    replace(made, within="site", aggregate="patient", leave_out="case").check(COHORT)


def test_slides_of_neither_part_take_no_part() -> None:
    cohort = COHORT.assign(split=["query", "database", "val", "", "query"])
    made = protocol(split=SPLIT)
    assert made.queries(cohort) == ["a1", "d1"]
    assert np.flatnonzero(~made.is_excluded("d1", "d", ROWS, cohort)).tolist() == [2]


@pytest.mark.parametrize("leave_out", ["slide", "patient", "case"])
@pytest.mark.parametrize("split", [None, SPLIT])
@pytest.mark.parametrize("within", [None, "site"])
def test_the_mask_and_the_table_are_the_same_rule(leave_out: str, split: Split | None, within: str | None) -> None:
    made = replace(protocol(leave_out=leave_out, split=split), within=within)
    items = made.items(COHORT).set_index("item_id")
    for query in COHORT["slide_id"]:
        elsewhere = (items["group"] != items.loc[query, "group"]) & (items["scope"] == items.loc[query, "scope"])
        allowed = items.index[items["is_database"] & elsewhere]
        assert {ROWS.slide_ids[ROWS.slide_of_row[row]] for row in found(made, query)} == set(allowed)


@pytest.mark.parametrize("values", [[0, 1, 2, 2, 1], [0.0, 1.0, 2.0, np.nan, 2.0], ["0", "1", "2", " 2", None]])
@pytest.mark.parametrize("ignored", [["2"], [2]])
def test_an_ignored_class_is_no_label_however_the_column_is_stored(
    values: list[object], ignored: list[str | int]
) -> None:
    cohort = COHORT.assign(TP53_cls=pd.Series(values))
    labels = replace(protocol(label="TP53_cls"), ignored_labels=ignored).labels(cohort)
    expected = cohort["TP53_cls"].where(~cohort["TP53_cls"].isin([2, 2.0, "2", " 2"]))
    assert labels.isna().tolist() == expected.isna().tolist()
    assert labels.dropna().tolist() == expected.dropna().tolist()
    assert protocol(label="TP53_cls").labels(cohort).isna().sum() == cohort["TP53_cls"].isna().sum()


def test_patches_of_the_index_are_items_with_the_columns_of_their_slide() -> None:
    table = patch_table(ROWS, COHORT)
    assert table["site"].tolist()[:4] == ["lung", "lung", "lung", "lung"]
    items = protocol(unit="patch", leave_out="patch").items(table)
    assert items["item_id"].tolist()[:3] == ["a1@0,0", "a1@512,0", "a2@0,0"]
    assert items["group"].equals(items["item_id"])


def test_a_slide_of_the_index_that_the_table_lacks_is_named() -> None:
    with pytest.raises(CohortError, match="b1 is in the index but not in the table"):
        patch_table(ROWS, COHORT[COHORT["slide_id"] != "b1"])


def test_a_slide_twice_in_the_table_is_refused() -> None:
    with pytest.raises(CohortError, match="a1 stands twice"):
        protocol().items(pd.concat([COHORT, COHORT[:1]]))


def test_an_empty_patient_is_refused() -> None:
    with pytest.raises(CohortError, match="patient_id is empty in row 1"):
        protocol().items(COHORT.assign(patient_id=["a", np.nan, "b", "c", "d"]))


def test_a_split_without_its_values_says_what_the_column_has() -> None:
    cohort = COHORT.assign(split=["train", "train", "train", "val", np.nan])
    with pytest.raises(CohortError, match="no slide has split = query or test; the column has train, val"):
        protocol(split=SPLIT).queries(cohort)
    with pytest.raises(CohortError, match="column 'split' is missing"):
        protocol(split=SPLIT).queries(COHORT.drop(columns="split"))


def test_a_patch_benchmark_asks_the_list_of_queries_and_searches_all() -> None:
    made = from_yaml(CONF / "patch_benchmark.yaml")
    listed = COHORT.assign(split=["query", "database", "database", "query", "database"])
    assert made.queries(listed) == listed.loc[listed["split"] == "query", "slide_id"].tolist()
    assert made.items(listed)["is_database"].all()


def test_a_patch_benchmark_asks_everything_of_a_cohort_without_a_list() -> None:
    made, cohort = from_yaml(CONF / "patch_benchmark.yaml"), COHORT.drop(columns="split")
    assert made.queries(cohort) == COHORT["slide_id"].tolist()
    assert made.items(cohort)["is_database"].all()
    assert (~made.is_excluded("a1", PATIENT_OF["a1"], ROWS, cohort)).nonzero()[0].tolist() == [2, 3, 4, 5]


def test_a_label_that_is_not_there_lists_the_columns() -> None:
    with pytest.raises(CohortError, match="no column 'grade' to judge by; it has slide_id, patient_id, site"):
        protocol(label="grade").labels(COHORT)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"eval.k is \[1, 20\]; expected numbers from 1 to eval.depth = 10"):
        protocol(k=[1, 20])
    with pytest.raises(ConfigError, match="'mmv' is not known"):
        protocol(metrics=["mmv"])
    with pytest.raises(ConfigError, match=r"eval\.leave_out is patch while eval\.unit is slide"):
        protocol(leave_out="patch")
    with pytest.raises(ConfigError, match=r"eval\.aggregate is patch"):
        replace(protocol(), aggregate="patch")
    with pytest.raises(ConfigError, match=r"eval\.metrics is empty"):
        protocol(metrics=[])
