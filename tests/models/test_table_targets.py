from __future__ import annotations

import logging
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from src.data.cohort import Cohort
from src.data.here66 import HERE66
from src.data.targets import GENE_TARGETS, REGRESSION_TARGETS, TARGETS
from src.errors import CohortError, ConfigError
from src.models.splits import SPLITS, split_with_every_class
from src.models.table_targets import TableTargets

_CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Four slides with a grade, an age and a column of which nothing is known in s3."""
    (tmp_path / "slide.tif").touch()
    columns = {
        "slide_id": ["s0", "s1", "s2", "s3"],
        "path": [str(tmp_path / "slide.tif")] * 4,
        "patient_id": ["p0", "p1", "p2", "p3"],
        "mpp": [nan] * 4,
        "grade": ["low", "high", "low", None],
        "gene": [0.0, 1.0, 2.0, 2.0],
        "age": ["61", "55.5", None, None],
    }
    return Cohort("tiny", "slides", pd.DataFrame(columns), tmp_path)


def _composed(task: str, *overrides: str) -> Any:
    with initialize_config_dir(str(_CONF), version_base="1.3"):
        cfg = compose(overrides=["+data={label: grade}", f"+task={task}", *overrides])
    return instantiate(cfg.task, _convert_="all")


def test_cells_are_classes_and_numbers_and_slides_without_any_are_counted(
    cohort: Cohort, caplog: pytest.LogCaptureFixture
) -> None:
    choice = TableTargets(["grade", "gene"], ["age"], ignored_class="2")
    with caplog.at_level(logging.WARNING):
        labels = choice.read(cohort, ["s0", "s2", "s3"])
    assert list(labels.index) == ["s0", "s2"]
    assert labels["s0"] == ("low", "0", 61.0)
    assert labels["s2"][:2] == ("low", "2")
    assert isnan(labels["s2"][2])
    assert "left out 1 slides (s1) without features, 1 slides (s3) without any target" in caplog.text


def test_classes_and_weights_are_those_of_train(cohort: Cohort) -> None:
    task = TableTargets(["grade"], ["age"]).fit(TableTargets(["grade"], ["age"]).read(cohort, ["s0", "s1", "s2"]))
    (grade,) = task.classification
    assert (grade.classes, grade.weights) == (("high", "low"), (3.0, 1.5))
    assert task.n_outputs == 3


def test_gaps_count_as_the_ignored_class_where_classes_are_fixed(cohort: Cohort) -> None:
    choice = TableTargets(["gene"], classes=["0", "1", "2"], ignored_class="2")
    labels = pd.Series([("0",), ("1",), ("2",), (nan,)], dtype=object)
    assert choice.fit(labels).classification[0].weights == (4.0, 4.0, 2.0)


def test_what_cannot_be_learnt_is_refused(cohort: Cohort) -> None:
    ids = ["s0", "s1", "s2", "s3"]
    with pytest.raises(ConfigError, match="no column to learn"):
        TableTargets()
    with pytest.raises(ConfigError, match="column 'age' is named twice"):
        TableTargets(["age"], ["age"])
    with pytest.raises(ConfigError, match="task_weights: size=1"):
        TableTargets(["grade"], task_weights={"size": 1})
    with pytest.raises(ConfigError, match="ignored_class is '3'; expected one of"):
        TableTargets(["grade"], classes=["0", "1"], ignored_class="3")
    with pytest.raises(ConfigError, match="grade: slide s0 has 'low'; a regression needs numbers"):
        TableTargets(regression=["grade"]).read(cohort, ids)
    with pytest.raises(ConfigError, match="gene: slide s2 has '2'; expected one of"):
        TableTargets(["gene"], classes=["0", "1"]).read(cohort, ids)
    with pytest.raises(CohortError, match="no label column 'stage'"):
        TableTargets(["stage"]).read(cohort, ids)
    with pytest.raises(ConfigError, match="grade: train has 1 class"):
        TableTargets(["grade"]).fit(pd.Series([("low",)], dtype=object))
    with pytest.raises(ConfigError, match="no slide with features has a target"):
        TableTargets(["grade"]).read(cohort, ["s3"])


def test_here66_is_eleven_genes_and_fifty_five_regressions_without_the_third_class() -> None:
    choice = _composed("here66")
    labels = pd.Series([("0",) * 11 + (0.5,) * 55, ("1",) * 11 + (1.0,) * 55], dtype=object)
    task = choice.fit(labels)
    assert task.names == (*GENE_TARGETS, *REGRESSION_TARGETS)
    assert (task.n_outputs, task.effective_class_weights) == (88, False)
    assert {(column.classes, column.ignored) for column in task.classification} == {(("0", "1", "2"), "2")}


def test_gene_counts_where_its_cancer_type_is_labelled(cohort: Cohort) -> None:
    with_cancer = replace(cohort, table=cohort.table.assign(cancer=["BRCA", "LUAD", "BRCA", nan]))
    gene = {"name": "gene", "kind": "class", "classes": ["0", "1", "2"], "ignored_class": "2", "cancers": ["LUAD"]}
    choice = TableTargets(["grade"], targets=[gene], cancer_column="cancer")
    labels = choice.read(with_cancer, ["s0", "s1", "s2", "s3"])
    assert all(isnan(labels[slide_id][0]) for slide_id in ("s0", "s2"))
    assert labels["s1"] == ("1", "high")
    assert replace(choice, cancer_column=None).read(with_cancer, ["s0"])["s0"] == ("0", "low")


def test_genes_of_here_are_labelled_in_the_cancer_types_of_the_official_code() -> None:
    targets = {target.name: target for target in HERE66}
    assert tuple(targets) == TARGETS
    assert targets["IDH1_cls"].cancers == ("LGG",)
    assert targets["BRAF_cls"].cancers == ("SKCM", "THCA")
    assert targets["TIDE_CAF"].cancers is None


def test_targets_that_train_says_nothing_of_are_named_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    choice = TableTargets(["gene", "one"], ["age", "gone"], classes=["0", "1", "2"], ignored_class="2")
    labels = pd.Series([("2", "0", 1.0, nan), ("2", "0", 2.0, nan)], dtype=object)
    with caplog.at_level(logging.WARNING):
        task = choice.fit(labels)
    assert "3 targets (gene, one, gone): train has no label, or those of one class; not learnt" in caplog.text
    assert task.n_outputs == 8
    with pytest.raises(ConfigError, match=r"train says nothing of 1 targets \(gone\)"):
        TableTargets(regression=["gone"]).fit(pd.Series([(nan,)], dtype=object))


def test_target_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="task, age: kind is 'text'; expected class or number"):
        TableTargets(targets=[{"name": "age", "kind": "text"}])


def test_any_columns_of_a_table_are_a_task() -> None:
    assert _composed("table").columns == ["grade"]
    assert _composed("table", "task.classification=[]", "task.regression=[age,size]").columns == ["age", "size"]


def _classes(n_patients: int) -> tuple[pd.DataFrame, pd.Series]:
    slides = [f"s{i}" for i in range(2 * n_patients)]
    columns = {"a": [str(i // 2 % 2) for i in range(len(slides))], "b": [str(i // 2 % 3) for i in range(len(slides))]}
    patients = pd.Series([f"p{i // 2}" for i in range(len(slides))], index=slides, dtype=object)
    return pd.DataFrame(columns, index=slides, dtype=object), patients


@pytest.mark.parametrize("seed", range(4))
def test_every_drawn_split_has_every_class_and_no_patient_is_in_two(seed: int) -> None:
    classes, patients = _classes(24)
    split = split_with_every_class(classes, patients, (0.6, 0.2, 0.2), seed)
    for name in SPLITS:
        part = classes[split == name]
        assert (part["a"].nunique(), part["b"].nunique()) == (2, 3)
    assert (split.groupby(patients).nunique() == 1).all()
    assert split.equals(split_with_every_class(classes, patients, (0.6, 0.2, 0.2), seed))
    assert not split.equals(split_with_every_class(classes, patients, (0.6, 0.2, 0.2), seed + 10))


def test_split_that_cannot_have_every_class_is_drawn_anyway_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    classes, patients = _classes(6)
    with caplog.at_level(logging.WARNING):
        split = split_with_every_class(classes, patients, (0.6, 0.2, 0.2), 0)
    assert set(split) == set(SPLITS)
    assert "of 5 classes are missing in a split" in caplog.text


def test_columns_without_classes_are_split_too() -> None:
    classes, patients = _classes(6)
    assert set(split_with_every_class(classes[[]], patients, (0.6, 0.2, 0.2), 0)) == set(SPLITS)
    with pytest.raises(ConfigError, match="2 patients are too few"):
        split_with_every_class(*_classes(2), (0.6, 0.2, 0.2), 0)
