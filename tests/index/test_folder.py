import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.data.files import sha256_of
from src.data.whole_folder import folder_written_whole
from src.errors import ConfigError, IndexMismatch
from src.index.folder import Provenance, open_folder
from src.index.indexes.flat import Flat
from src.index.rows_table import IndexedSlide, RowsTable
from tests.index.databases import random_database
from tests.index.test_engine import built, flat_engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built(random_database(0, [2, 3])).save(tmp_path / "index", Provenance("uni", "abc", {"step": 256}, 5, {"a": [1]}))
    return tmp_path / "index"


def test_manifest_says_what_the_index_is(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["index.faiss", "manifest.json", "rows.parquet"]
    expected = {
        "format_version": 1,
        "engine": "patch_flat",
        "code_kind": "float",
        "index": "src.index.indexes.flat.Flat",
        "index_settings": {"metric": "cosine"},
        "dim": 32,
        "feature_dim": 32,
        "n_rows": 5,
        "n_slides": 2,
        "index_size_bytes": (folder / "index.faiss").stat().st_size,
        "encoder": "uni",
        "encoder_digest": "abc",
        "patching": {"step": 256},
        "seed": 5,
        "config": {"a": [1]},
        "sha256": {name: sha256_of(folder / name) for name in ("index.faiss", "rows.parquet")},
    }
    assert manifest | expected == manifest


@pytest.mark.parametrize("n_rows_at_once", [2, 100])
def test_rows_table_comes_back_as_it_was(tmp_path: Path, n_rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.index.rows_table._ROWS_AT_ONCE", n_rows_at_once)
    slides = [
        IndexedSlide("z", "p1", np.array([[0, 5], [9, 2**40]]), (256, 128)),
        IndexedSlide("a", "p1", np.array([[1, 1]]), (512, 512)),
        IndexedSlide("m", "p0", np.array([[3, 4], [3, 5]]), (256, 256)),
    ]
    table = RowsTable.of(slides)
    table.write(tmp_path / "rows.parquet")
    read = RowsTable.read(tmp_path / "rows.parquet")
    assert (read.rows.slide_ids, read.rows.patient_ids) == (("z", "a", "m"), ("p1", "p1", "p0"))
    assert read.rows.slide_of_row.tolist() == [0, 0, 1, 2, 2]
    assert np.array_equal(read.rows.xy, table.rows.xy)
    assert read.patch_sizes.tolist() == [[256, 128], [512, 512], [256, 256]]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [flip_a_byte, cut_in_half, Path.unlink])
@pytest.mark.parametrize("name", ["index.faiss", "rows.parquet", "manifest.json"])
def test_damage_is_named_before_faiss_reads_the_file(
    folder: Path, name: str, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(folder / name)
    monkeypatch.setattr(Flat, "load", lambda *_: pytest.fail("faiss read a damaged folder"))
    with pytest.raises(IndexMismatch) as raised:
        flat_engine().load(folder)
    assert name in str(raised.value)
    assert str(raised.value).endswith(f"rebuild it: python build_index.py index_dir={folder}")
    assert "\n" not in str(raised.value)


def test_the_manifest_of_another_index_is_refused(folder: Path, tmp_path: Path) -> None:
    built(random_database(1, [2, 3])).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "manifest.json", folder)
    with pytest.raises(IndexMismatch, match=r"index\.faiss has SHA-256 \w{12}, expected \w{12} by manifest\.json"):
        open_folder(folder)


def test_a_manifest_edited_by_hand_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"encoder": "conch"}))
    with pytest.raises(IndexMismatch, match="its digest does not fit"):
        open_folder(folder)


def test_an_index_with_other_rows_than_its_table_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flat, "__len__", lambda _: 4)
    with pytest.raises(IndexMismatch, match="the index has 4 rows, its table 5"):
        flat_engine().load(folder)


def test_a_failed_save_leaves_the_former_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(RowsTable, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        built(random_database(1, [4])).save(folder)
    assert open_folder(folder).manifest["n_rows"] == 5
    assert not list(folder.parent.glob(".index.partial"))


def test_a_save_replaces_the_former_index(folder: Path) -> None:
    built(random_database(1, [4])).save(folder)
    assert open_folder(folder).manifest["n_rows"] == 4


def test_a_folder_of_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("irreplaceable")
    with pytest.raises(ConfigError, match="holds other files"):
        built(random_database(0, [2])).save(tmp_path / "home")
    assert (tmp_path / "home" / "thesis.tex").read_text() == "irreplaceable"


def test_two_writers_at_once_never_mix(tmp_path: Path) -> None:
    def write(name: str) -> None:
        with folder_written_whole(tmp_path / "index") as partial:
            for i in range(20):
                (partial / f"{name}{i}").touch()
                time.sleep(0.001)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    names = [path.name[0] for path in (tmp_path / "index").iterdir()]
    assert len(names) == 20
    assert len(set(names)) == 1


KILLED_WRITER = """
import sys, time
from pathlib import Path
from src.data.whole_folder import folder_written_whole
with folder_written_whole(Path(sys.argv[1])) as partial:
    (partial / "half").touch()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_killed_writer_leaves_the_former_folder_and_blocks_nobody(folder: Path) -> None:
    command = [sys.executable, "-c", KILLED_WRITER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        writer.send_signal(signal.SIGKILL)
    assert open_folder(folder).manifest["n_rows"] == 5
    built(random_database(1, [4])).save(folder)
    assert open_folder(folder).manifest["n_rows"] == 4
    assert sorted(path.name for path in folder.parent.iterdir()) == [".index.lock", "index"]


def test_a_writer_killed_between_the_renames_is_undone_by_the_next(folder: Path) -> None:
    folder.rename(folder.with_name(".index.former"))
    with pytest.raises(RuntimeError), folder_written_whole(folder):
        raise RuntimeError
    assert open_folder(folder).manifest["n_rows"] == 5


def test_a_quick_look_sees_a_file_that_was_cut_but_reads_no_index(folder: Path) -> None:
    index = folder / "index.faiss"
    flip_a_byte(index)
    assert len(open_folder(folder, "sizes").table.rows) == 5
    index.write_bytes(index.read_bytes()[:-1])
    size = index.stat().st_size
    with pytest.raises(IndexMismatch, match=f"index.faiss has {size} bytes, expected {size + 1} by manifest.json"):
        open_folder(folder, "sizes")
    index.unlink()
    with pytest.raises(IndexMismatch, match=r"index.faiss is missing"):
        open_folder(folder, "sizes")


def test_a_quick_look_reads_what_is_not_the_index(folder: Path) -> None:
    flip_a_byte(folder / "rows.parquet")
    with pytest.raises(IndexMismatch, match=r"rows.parquet has SHA-256"):
        open_folder(folder, "sizes")


def test_an_index_without_slides_is_written_and_read(tmp_path: Path) -> None:
    store, engine = random_database(0, [2, 3]), flat_engine()
    engine.fit(store)
    engine.save(tmp_path / "index")
    loaded = flat_engine()
    loaded.load(tmp_path / "index")
    assert (len(loaded.rows), loaded.is_fitted) == (0, True)
    assert loaded.add(store) == ("s000", "s001")
    assert loaded.rows.slide_ids == ("s000", "s001")
