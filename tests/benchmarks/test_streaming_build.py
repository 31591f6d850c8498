import mmap
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import streaming_build
from benchmarks.loaded_memory import anonymous_bytes
from benchmarks.streaming_build import Steps, faults, main, markdown

_N_BYTES = 50_000_000


def builds(beyond_mb: tuple[float, float], table_mb: tuple[float, float] = (24.0, 96.0)) -> pd.DataFrame:
    return pd.DataFrame({"n_rows": [1_000_000, 4_000_000], "beyond_mb": beyond_mb, "table_mb": table_mb})


def test_only_the_rows_table_may_grow() -> None:
    assert faults(builds((524, 596)), 1000) == []
    assert faults(builds((524, 700)), 1000) == [
        "memory beyond index and rows table grows from 500 to 604 MB, expected at most 1.1x"
    ]


def test_memory_beyond_the_index_is_bounded() -> None:
    assert faults(builds((524, 596)), 550) == ["memory beyond the index is 596 MB, expected at most 550"]


@pytest.mark.skipif(anonymous_bytes() == 0, reason="memory is read from a Linux kernel")
def test_each_step_has_its_peak() -> None:
    with Steps() as steps:
        steps.begin("small")
        steps.begin("large")
        with mmap.mmap(-1, _N_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:  # pages are new
            for place in range(0, _N_BYTES, mmap.PAGESIZE):
                held[place] = 1
            time.sleep(1)  # memory is looked at now and then
            steps.begin("small again")
    assert steps.peaks_bytes["large"] - steps.peaks_bytes["small"] > 0.9 * _N_BYTES
    assert list(steps.cpu_s) == ["small", "large", "small again"]


def test_a_small_build_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming_build, "_MOST_GROWTH", 1e9)  # so small, it is noise
    sizes = ["--rows", "2000", "1000", "--training", "500", "--nlist", "4"]
    folders = ["--scratch", str(tmp_path / "scratch"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["streaming_build", *sizes, *folders])
    main()
    table = pd.read_csv(tmp_path / "streaming_build.csv")
    assert table["n_rows"].tolist() == [1000, 2000]
    assert len(markdown(table).splitlines()) == 4
    assert len(list((tmp_path / "scratch").rglob("*.h5"))) == 2  # and no index is left
    assert not list((tmp_path / "scratch").rglob("index*"))
