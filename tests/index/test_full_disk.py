"""Disks that are really full: a change says so in one line, and the old index stays."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from src.data.room import is_full
from src.errors import NoRoom
from src.index.engine import RetrievalEngine
from src.index.indexes.flat import Flat
from src.index.indexes.hnswlib_graph import HnswlibGraph
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File
from src.index.indexes.usearch_graph import UsearchGraph
from src.interfaces import Index
from tests.index.databases import random_database
from tests.index.test_living import SIZES, contents, living_engine

INDEXES: dict[str, Callable[[], Index]] = {
    "flat": lambda: Flat("cosine"),
    "files": lambda: Rerank(Flat("l2"), 300, Float16File()),
    "hnswlib": lambda: HnswlibGraph(16, 256, 100, 1),
    "usearch": lambda: UsearchGraph("f32", 16, 256, 100, 1),
}


@contextmanager
def room_of(n_bytes: int) -> Iterator[None]:
    """No file can become larger."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def built(kind: str) -> RetrievalEngine:
    engine = living_engine(INDEXES[kind]())
    engine.build(random_database(0, SIZES))
    return engine


@pytest.mark.parametrize("kind", list(INDEXES))
@pytest.mark.parametrize("change", ["build", "add", "remove"])
def test_a_change_without_room_is_one_line_and_leaves_the_old_index(kind: str, change: str, tmp_path: Path) -> None:
    if kind in ("hnswlib", "usearch") and not find_spec(kind):
        pytest.skip(f"no package {kind}")
    folder, engine = tmp_path / "index", built(kind)
    engine.save(folder)
    before = contents(folder)
    if change == "add":
        engine.add(random_database(0, [*SIZES, 20]))
    elif change == "remove":
        engine.remove(["s002"])
    with room_of(3000), pytest.raises(NoRoom) as raised:
        engine.save(folder)
    line = str(raised.value)
    assert line.startswith(f"{folder}: no room on its disk, which needs more than 0.")
    assert line.endswith("what is there is as it was; make room, or choose another folder")
    assert "\n" not in line
    assert contents(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".index.lock", "index"]
    engine.save(folder)
    assert contents(folder) != before or change == "build"


ON_A_SMALL_DISK = """
import sys
from pathlib import Path
import numpy as np
from src.data.whole_folder import folder_written_whole
from src.errors import NoRoom
from src.index.indexes.spool import Spool

spool = Spool("float16")
spool.append(np.zeros((1000, 32), np.float16))
try:
    with folder_written_whole(Path(sys.argv[1])) as partial:
        spool.save(partial / "index.vectors")
except NoRoom as error:
    print(error)
"""


def test_a_disk_that_is_full_is_said_in_one_line(tmp_path: Path) -> None:
    mount = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=40k none {tmp_path} && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no disk of a few kilobytes may be mounted here")
    command = [*mount, sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.stdout.startswith(f"{tmp_path / 'index'}: no room on its disk"), done.stderr


def test_other_errors_are_not_of_a_full_disk() -> None:
    assert is_full(OSError(28, "No space left on device"))
    assert is_full(RuntimeError("Error in faiss: write error in a: 5 != 9 (No space left on device)"))
    assert not is_full(OSError(5, "Input/output error"))
    assert not is_full(RuntimeError("CUDA error"))
