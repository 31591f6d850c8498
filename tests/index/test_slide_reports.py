from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.errors import ConfigError, IncompatibleParts
from src.index.codes.barcode import Barcode
from src.index.codes.pathsearch import PathSearch
from src.index.engine import RetrievalEngine
from src.index.indexes.binary_flat import BinaryFlat
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.barcodes_and_semantics import BarcodesAndSemantics
from src.index.slide_reports import SlideReports
from src.index.training_sample import TrainingSample
from src.interfaces import Rows
from tests.index.trained import pathsearch
from tests.models.bags import MemoryStore, cohort_of

ROWS = Rows(
    ("a1", "a2", "b1", "c1", "d1"),
    ("a", "a", "b", "c", "d"),
    np.repeat(np.arange(5), 2),
    np.arange(20, dtype=np.int64).reshape(10, 2),
)
TEXTS = pd.Series({"a1": "gland", "a2": "gland", "b1": "gland", "c1": "stroma"}, name="report")
VECTORS = {"gland": (1.0, 0.0), "stroma": (0.0, 1.0)}


def reports() -> SlideReports:
    return SlideReports(TEXTS, np.array([VECTORS[text] for text in TEXTS], np.float32))


def found(x: float, y: float, k: int = 9, without: Sequence[str] = ()) -> list[str]:
    is_excluded = np.isin(np.array(ROWS.patient_ids), list(without))[ROWS.slide_of_row]
    ranking = reports().ranking("q", np.array([x, y], np.float32), ROWS, k, is_excluded)
    return [hit.slide_id for hit in ranking]


def test_a_report_that_slides_of_a_patient_share_is_one_answer_and_equal_ones_of_others_are_more() -> None:
    assert found(0.8, 0.6) == ["a1", "b1", "c1"]
    assert found(0.6, 0.8) == ["c1", "a1", "b1"]


def test_reports_of_the_left_out_patient_are_no_answers() -> None:
    assert found(0.8, 0.6, without=["a"]) == ["b1", "c1"]
    assert found(0.8, 0.6, k=1, without=["a", "b"]) == ["c1"]


def test_a_report_lies_at_the_last_row_of_its_slide_with_its_cosine() -> None:
    (hit,) = reports().ranking("q", np.array([0.6, 0.8], np.float32), ROWS, 1)
    assert (hit.slide_id, hit.patient_id, hit.x, hit.y) == ("c1", "c", 14, 15)
    assert [hit.score, hit.distance] == pytest.approx([0.8, 0.2])


def test_no_reports_is_said_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^query.find=reports: the index keeps no reports; build it with[^\n]*$"):
        SlideReports().ranking("q", np.ones(2, np.float32), ROWS, 1)


def test_a_code_without_text_keeps_no_reports() -> None:
    with pytest.raises(IncompatibleParts, match=r"^code barcode puts no reports among slides[^\n]*$"):
        SlideReports.of(TEXTS, Barcode("yottixel"))


def engine() -> RetrievalEngine:
    code = PathSearch(pathsearch(8), False)
    sample = TrainingSample(n_slides=4, n_patches=4, min_patches=1, seed=0)
    return RetrievalEngine("pathsearch", AllPatches(), code, BinaryFlat(), BarcodesAndSemantics(200), sample)


def test_an_index_gives_the_same_reports_once_it_is_read_again(tmp_path: Path) -> None:
    labels, patients = cohort_of(6)
    store = MemoryStore(labels, patients)
    built, read = engine(), engine()
    built.build(store)
    built.keep_reports("a " + labels.astype(str) + " tissue of " + patients.astype(str))
    built.save(tmp_path / "index")
    read.load(tmp_path / "index")
    query = store.load(store.slide_ids[0])
    is_excluded = np.zeros(len(built.rows), dtype=bool)
    assert built.search_reports(query, 4, is_excluded) == read.search_reports(query, 4)
    assert len(built.search_reports(query, 99)) == patients.loc[labels.index].nunique()
    with pytest.raises(ConfigError, match="none of the 1 reports is of a slide"):
        built.keep_reports(pd.Series({"nobody": "a report"}))
