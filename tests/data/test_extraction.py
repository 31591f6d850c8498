from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jaxtyping import Float32

from src.data.cohort import Cohort
from src.data.cohorts.table import table_cohort
from src.data.extraction import Extraction
from src.data.feature_files import read_features, read_provenance
from src.data.feature_folder import open_feature_folder
from src.data.patch_colours import mean_rgb
from src.data.patching import TissueGrid
from src.data.tissue import TissueSegmenter
from src.errors import FeatureFileError, WeightsUnavailable
from src.interfaces import Image
from tests.data.make_slides import corrupt_tile, glass, noise, write_pyramid


class MeanColour:
    """An encoder that is easy to check: the mean colour of a patch."""

    name = "mean_colour"
    dim = 3
    mpp = 0.5
    batch_size = 4

    def __init__(self, version: int = 1) -> None:
        self.version = version

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version}

    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        return np.stack([patch.mean(axis=(0, 1)) for patch in patches]).astype(np.float32)


class Slow(MeanColour):
    """Gives a test the time to kill it."""

    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        time.sleep(0.05)
        return super().encode(patches)


class NotFinite(MeanColour):
    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        return np.full((len(patches), 3), np.nan, np.float32)


class Gated(MeanColour):
    def fingerprint(self) -> dict[str, Any]:
        raise WeightsUnavailable("gated")


def make_cohort(folder: Path, n_slides: int = 4, make: bool = True) -> Cohort:
    """Slides of noisy tissue on glass, 512 x 384 px at 0.5 um per pixel."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n_slides if make else 0):
        image = glass(512, 384, [(256, 192, 180 - 10 * i, 120)])
        image = np.where(image < 240, image // 2 + noise(512, 384, i) // 2, image).astype(np.uint8)
        write_pyramid(folder / f"s{i}.tif", image, mpp=0.5)
    table = pd.DataFrame({"path": [f"s{i}.tif" for i in range(n_slides)], "patient_id": "p"})
    if make:
        table.to_csv(folder / "cohort.csv", index=False)
    return table_cohort(folder / "cohort.csv", name="tiny")


def make_extraction(folder: Path, encoder: MeanColour | None = None, make: bool = True, **more: Any) -> Extraction:
    patcher = TissueGrid(TissueSegmenter(min_overview_px=256), patch_size_px=64, mpp=0.5)
    return Extraction(
        make_cohort(folder / "slides", make=make), encoder or MeanColour(), patcher, folder / "cache", **more
    )


def test_features_are_those_of_the_patches(tmp_path: Path) -> None:
    extraction = make_extraction(tmp_path)
    assert [status.status for status in extraction.run()] == ["ok"] * 4
    slide = open_feature_folder(extraction.folder, extraction.cohort).load("s0")
    assert len(slide.features) > 8
    assert slide.patch_size_level0 == (64, 64)
    assert 80 < slide.features.mean() < 200
    assert slide.colours is not None
    np.testing.assert_allclose(
        mean_rgb(slide.colours) * 255, slide.features, atol=0.5
    )  # the encoder is the mean colour
    assert (extraction.preview_folder / "masks" / "s0.png").exists()


def test_second_run_makes_nothing_again(tmp_path: Path) -> None:
    extraction = make_extraction(tmp_path)
    extraction.run()
    before = {path: path.stat().st_mtime_ns for path in extraction.folder.glob("*.h5")}
    table = (extraction.folder / "status.csv").read_bytes()
    assert all(status.is_reused for status in extraction.run())
    assert {path: path.stat().st_mtime_ns for path in extraction.folder.glob("*.h5")} == before
    assert (extraction.folder / "status.csv").read_bytes() == table


def test_replaced_slide_is_extracted_again(tmp_path: Path) -> None:
    extraction = make_extraction(tmp_path)
    extraction.run()
    write_pyramid(tmp_path / "slides" / "s1.tif", noise(512, 384, 9), mpp=0.5)
    assert [status.is_reused for status in extraction.run()] == [True, False, True, True]


def test_other_weights_or_patches_go_to_another_folder(tmp_path: Path) -> None:
    first = make_extraction(tmp_path)
    assert first.folder != replace(first, encoder=MeanColour(2)).folder
    assert first.folder != replace(first, patcher=replace(first.patcher, patch_size_px=128)).folder  # type: ignore[type-var]
    assert first.folder == replace(first, previews=False).folder


def test_slide_without_tissue_is_a_status_with_an_empty_file(tmp_path: Path) -> None:
    extraction = make_extraction(tmp_path)
    write_pyramid(tmp_path / "slides" / "s2.tif", glass(512, 384, []), mpp=0.5)
    statuses = extraction.run()
    assert [status.status for status in statuses] == ["ok", "ok", "no_tissue", "ok"]
    assert not statuses[2].is_failure
    assert read_features(extraction.folder / "s2.h5", "s2").features.shape == (0, 3)
    assert "s2" not in open_feature_folder(extraction.folder, extraction.cohort).slide_ids
    assert [status.status for status in extraction.run()][2] == "no_tissue"


def test_corrupt_tile_fails_its_slide_or_is_left_out_but_is_never_white(tmp_path: Path) -> None:
    extraction = make_extraction(tmp_path)
    patcher = extraction.patcher
    slide = tmp_path / "slides" / "s0.tif"
    write_pyramid(slide, noise(512, 384), mpp=0.5, n_levels=2, compression="jpeg")
    patcher = replace(patcher, segmenter=TissueSegmenter(min_overview_px=128))  # type: ignore[type-var]
    extraction = replace(extraction, patcher=patcher)
    corrupt_tile(slide, 20)
    failed = extraction.run()[0]
    assert (failed.status, failed.is_failure) == ("corrupt_tiles", True)
    assert "x=256, y=128" in failed.reason
    assert not (extraction.folder / "s0.h5").exists()

    skipping = replace(extraction, corrupt_tiles="skip")
    left_out = skipping.run()[0]
    assert (left_out.status, left_out.is_failure, left_out.n_left_out) == ("corrupt_tiles", False, 1)
    assert read_provenance(skipping.folder / "s0.h5")["left_out"] == "256,128"
    assert read_features(skipping.folder / "s0.h5", "s0").features.max() < 180


def test_broken_slides_have_a_reason_each_and_the_others_go_on(tmp_path: Path) -> None:
    extraction = make_extraction(tmp_path)
    slides = tmp_path / "slides"
    (slides / "s0.tif").write_text("this is text")
    write_pyramid(slides / "s1.tif", noise(512, 384), mpp=None)
    (slides / "s3.tif").unlink()
    extraction.run()
    table = pd.read_csv(extraction.folder / "status.csv").set_index("slide_id")
    assert table["status"].to_dict() == {"s0": "unreadable", "s1": "mpp_missing", "s2": "ok", "s3": "unreadable"}
    assert table["reason"].str.startswith(tuple(table.index)).sum() == 3
    assert "mpp" in str(table.loc["s1", "reason"])


def test_an_implausible_mpp_is_the_fault_of_its_slide_alone(tmp_path: Path) -> None:
    extraction = make_extraction(tmp_path)
    table = extraction.cohort.table.assign(mpp=[900.0, np.nan, 0.0, 0.5])
    statuses = replace(extraction, cohort=replace(extraction.cohort, table=table)).run()
    assert [status.status for status in statuses] == ["mpp_missing", "ok", "mpp_missing", "ok"]
    assert "s0: the cohort table states 900 um per pixel, expected 0.05 to 20" in statuses[0].reason


def test_features_that_are_not_finite_fail_their_slide(tmp_path: Path) -> None:
    statuses = make_extraction(tmp_path, NotFinite()).run()
    assert all(status.status == "failed" and "not finite" in status.reason for status in statuses)


def test_missing_weights_end_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="gated"):
        make_extraction(tmp_path, Gated()).run()


def test_no_slide_with_features_is_an_error(tmp_path: Path) -> None:
    extraction = make_extraction(tmp_path)
    with pytest.raises(FeatureFileError, match=r"no slide of cohort tiny has features"):
        open_feature_folder(extraction.folder, extraction.cohort)


class Counting(Slow):
    """Notes every batch."""

    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        with Path(os.environ["ENCODE_LOG"]).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return super().encode(patches)


_SHARED = """
import sys
from pathlib import Path
from tests.data.test_extraction import Counting, make_extraction
make_extraction(Path(sys.argv[1]), Counting(), make=False).run()
"""


def test_two_processes_at_once_make_each_slide_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODE_LOG", str(tmp_path / "alone.log"))
    alone = make_extraction(tmp_path / "alone", Counting())
    alone.run()
    together = make_extraction(tmp_path / "together", Counting())
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "ENCODE_LOG": str(tmp_path / "together.log")}
    command = [sys.executable, "-c", _SHARED, str(tmp_path / "together")]
    processes = [subprocess.Popen(command, cwd=root, env=environment) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    encoded_by = (tmp_path / "together.log").read_text().split()
    assert len(encoded_by) == len((tmp_path / "alone.log").read_text().split())
    made = {path.name: path.read_bytes() for path in together.folder.iterdir()}
    assert made == {path.name: path.read_bytes() for path in alone.folder.iterdir()}


_KILLED = """
import sys
from pathlib import Path
from tests.data.test_extraction import Slow, make_extraction
make_extraction(Path(sys.argv[1]), Slow()).run()
"""


def test_killed_extraction_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    whole = make_extraction(tmp_path / "whole", Slow())
    whole.run()
    folder = make_extraction(tmp_path / "killed", Slow()).folder
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path / "killed")], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    while len(list(folder.glob("*.h5"))) < 2 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(list(folder.glob("*.h5"))) < 4
    resumed = make_extraction(tmp_path / "killed", Slow())
    assert {status.is_reused for status in resumed.run()} == {True, False}
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert made == {path.name: path.read_bytes() for path in whole.folder.iterdir()}
