"""A ranking that weighs labels weighs those that the run is judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.index.rankers import entropy
from src.index.rankers.classes import Classes, classes_of
from src.interfaces import Rows
from tests.runs.conftest import Script


def test_entropy_weighs_the_label_of_the_evaluation_on_a_saved_index_too(
    script: Script, regions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed: list[str | None] = []

    def noted(rows: Rows, label: str | None, ranking: str) -> Classes:
        weighed.append(label)
        return classes_of(rows, label, ranking)

    monkeypatch.setattr(entropy, "classes_of", noted)
    data = ["data=table", f"data.table={regions}", "data.kind=regions", "data.label=tissue"]
    parts = ["engine=retccl", "encoder=stain_texture", "patching=whole_image"]
    assert script("build_index", *data, *parts, "index_dir=index") == 0
    chosen = ["ranking=entropy", "ranking.label=other"]
    for more, label in (([], "tissue"), (["eval.label=other"], "other"), (chosen, "other")):
        assert script("search", "index_dir=index", *more) == 0
        assert set(weighed) == {label}
        weighed.clear()
