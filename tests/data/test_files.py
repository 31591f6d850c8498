from __future__ import annotations

from pathlib import Path

import pytest

from src.data.files import digest, sha256_of, slide_digest, write_json, write_text, written_whole


def test_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    write_text(target, "old")
    with pytest.raises(RuntimeError, match="full disk"), written_whole(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("full disk")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_write_makes_the_folder(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"k": 1})
    assert (tmp_path / "a" / "b.json").read_text() == '{\n  "k": 1\n}\n'


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"k": float("nan")})


def test_digest_changes_with_any_value() -> None:
    assert digest({"seed": 1}) != digest({"seed": 2})


def test_slide_digest_sees_a_replaced_slide(tmp_path: Path) -> None:
    slide = tmp_path / "s.tif"
    slide.write_bytes(b"a" * 3_000_000)
    before = slide_digest(slide)
    slide.write_bytes(b"a" * 2_999_999 + b"b")
    assert slide_digest(slide) != before
    assert len(sha256_of(slide)) == 64


def test_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    dead = tmp_path / ".a.h5.999999999.partial"
    dead.write_text("half")
    write_text(tmp_path / "a.h5", "whole")
    assert not dead.exists()
