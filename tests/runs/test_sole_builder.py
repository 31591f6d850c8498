from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

from src.index.folder import open_folder
from tests.runs.conftest import Script

OTHER_BUILDER = """
import shutil, sys
from pathlib import Path
from src.data.whole_folder import folder_lock

with folder_lock(Path(sys.argv[1])):
    print("building", flush=True)
    sys.stdin.readline()
    shutil.copytree(sys.argv[2], sys.argv[1])
"""


@contextmanager
def other_builder(folder: Path, result: Path) -> Iterator[None]:
    """Another process that holds a folder and, two seconds later, puts an index there."""
    command = [sys.executable, "-c", OTHER_BUILDER, str(folder), str(result)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"building\n"
        go_on = Timer(2, process.stdin.close)
        go_on.start()
        yield
        go_on.join()


def test_of_two_builders_the_second_waits_and_takes_up_the_same_index(
    script: Script, regions: Path, tmp_path: Path
) -> None:
    build = ["data=table", f"data.table={regions}", "data.kind=regions"]
    assert script("build_index", *build, "index_dir=first") == 0
    with other_builder(tmp_path / "index", tmp_path / "first"):
        assert script("build_index", *build, "index_dir=index", "hydra.run.dir=run") == 0
    log = Path("run/build_index.log").read_text()
    assert "another process builds index; this one waits for it" in log
    assert "index: reused index, 8 rows" in log


def test_a_second_builder_leaves_the_other_index_of_the_first_alone(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ["data=table", f"data.table={regions}", "data.kind=regions"]
    assert script("build_index", *build, "index_dir=first", "index=itq_lsh", "index.n_bits=8") == 0
    with other_builder(tmp_path / "index", tmp_path / "first"):
        assert script("build_index", *build, "index_dir=index") == 2
    assert "another process has built an index of other parts or slides there meanwhile" in capsys.readouterr().err
    assert open_folder(Path("index")).manifest["index"].endswith("ItqLsh")
