from __future__ import annotations

from pathlib import Path

import pandas as pd

from src.data.cohort import Cohort
from src.data.cohorts.several import several_cohorts


def cohort(folder: Path, name: str, slide_ids: str, label: str) -> Cohort:
    (folder / name).mkdir()
    path = folder / name / "x.png"
    path.touch()
    table = pd.DataFrame({"slide_id": list(slide_ids), "path": str(path), "patient_id": f"of {name}", "mpp": 0.5})
    return Cohort(name, "regions", table.assign(**{label: name}), folder / name, label)


def test_a_slide_of_several_cohorts_is_that_of_the_first(tmp_path: Path) -> None:
    joined = several_cohorts([cohort(tmp_path, "one", "ab", "site"), cohort(tmp_path, "two", "bc", "grade")], "site")
    assert (joined.name, joined.root, joined.label) == ("one", tmp_path, "site")
    assert dict(zip(joined.table["slide_id"], joined.table["patient_id"], strict=True)) == {
        "a": "of one",
        "b": "of one",
        "c": "of two",
    }
    assert joined.labels("grade").dropna().to_dict() == {"c": "two"}
