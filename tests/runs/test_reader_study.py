from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src.data.cohorts.folder import folder_cohort
from src.eval.rankings import save_rankings
from src.interfaces import Hit, Image, Ranking
from src.runs.cli import CONF
from src.runs.reader_study.__main__ import main
from src.runs.reader_study.finished_run import open_runs
from src.runs.reader_study.pictures import StudyPictures, View
from tests.data.make_slides import noise, write_pyramid
from tests.eval.report_data import Page
from tests.runs.conftest import Script

N_SLIDES = 4


def make_slides(folder: Path) -> Path:
    """Four pyramids at 0.5 um per pixel in a table; returns the CSV."""
    for number in range(N_SLIDES):
        smooth = cv2.resize(noise(12, 12, number), (600, 600), interpolation=cv2.INTER_CUBIC)
        write_pyramid(folder / f"s{number}.tif", smooth, n_levels=2)
    rows = [(f"s{number}", f"s{number}.tif", f"p{number}") for number in range(N_SLIDES)]
    pd.DataFrame(rows, columns=["slide_id", "path", "patient_id"]).to_csv(folder / "cohort.csv", index=False)
    return folder / "cohort.csv"


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    return make_slides(tmp_path)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two methods that find different patches of the same slides, each hit scored by two aspects."""
    folder = tmp_path_factory.mktemp("study")
    table = make_slides(folder)
    runs = [f"secret{n}={finished_run(folder / f'r{n}', table, (n * 256, 0))}" for n in range(2)]
    return made(folder, runs, "--rate", "hits", "--aspects", "shape,site", "--hits", "2")


def finished_run(folder: Path, table: Path, corner: tuple[int, int], patch_size_px: int = 128) -> Path:
    """What search.py leaves: every slide finds the others, by the patch at `corner`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = [
            "data=table",
            f"data.table={table}",
            "engine=here",
            f"patching.slides.patch_size_px={patch_size_px}",
        ]
        config = compose("search", [*overrides, f"paths.run_dir={folder}", "encoder=stain_texture"])
    folder.mkdir()
    config.data.kind = "slides"
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config, resolve=True))
    answers = []
    for query in range(N_SLIDES):
        others = [number for number in range(N_SLIDES) if number != query]
        hits = [Hit(f"s{n}", f"p{n}", *corner, 0.1 * rank, -0.1 * rank) for rank, n in enumerate(others)]
        answers.append((Ranking(f"s{query}", tuple(hits)), f"p{query}"))
    save_rankings(folder / "rankings.parquet", answers)
    return folder


def made(tmp_path: Path, runs: Sequence[str], *options: str) -> Path:
    assert main(["make", *runs, "--out", str(tmp_path / "study"), *options]) == 0
    return tmp_path / "study"


def pixels(path: Path) -> Image:
    return np.asarray(PIL.Image.open(path).convert("RGB"))


def page_of(study: Path) -> Page:
    return Page((study / "for_readers" / "index.html").read_text(encoding="utf-8"))


def test_a_finished_search_becomes_a_study_and_filled_sheets_its_result(
    script: Script, regions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["encoder=stain_texture", "data=table", f"data.table={regions}", "data.kind=regions", "eval.label=tissue"]
    assert script("search", "engine=patch_flat", *common, "hydra.run.dir=runs/flat") == 0
    study = made(tmp_path, ["again=runs/flat", "runs/flat"], "--aspects", "structure,cell type")
    assert json.loads((study / "study.json").read_text())["facts"]["view"]["is_whole"]
    sheets = []
    for reader, format in (("ann", ".csv"), ("bob", ".xlsx")):
        table = pd.read_csv(study / "for_readers" / "sheet.csv").assign(**{"structure": 4, "cell type": 2})
        sheets.append(tmp_path / f"{reader}{format}")
        if format == ".csv":
            table.to_csv(sheets[-1], index=False)
        else:
            table.to_excel(sheets[-1], index=False)
    capsys.readouterr()
    assert main(["read", str(study), *map(str, sheets), "--reference", "again"]) == 0
    assert "0 of 32 scores left out" in capsys.readouterr().out
    scores = pd.read_csv(study / "results" / "scores.csv")
    assert set(scores["method"]) == {"again", "patch_flat, stain_texture"}
    assert scores.groupby("aspect")["score"].unique().map(list).to_dict() == {"cell type": [2], "structure": [4]}


def test_nothing_that_readers_get_names_a_method_or_a_slide(study: Path) -> None:
    handed_out = [path for path in (study / "for_readers").rglob("*") if path.is_file()]
    texts = [path.read_bytes() for path in handed_out if path.suffix in (".html", ".csv")]
    assert len(texts) == 2
    assert not [text for text in texts if any(name in text for name in (b"secret", b"s0", b"p0"))]
    assert all(path.stem.isdigit() for path in handed_out if path.suffix == ".jpg")
    assert "secret0" in (study / "key.csv").read_text()


def test_page_asks_every_item_and_aspect_once_and_finds_its_pictures(study: Path) -> None:
    page, items = page_of(study), pd.read_csv(study / "for_readers" / "sheet.csv")["item"]
    asked = [(field["data-item"], field["data-aspect"]) for field in page.of("fieldset")]
    assert asked == [(item, aspect) for item in items for aspect in ("shape", "site")]
    assert len(items) == N_SLIDES * 2 * 2
    assert [field["value"] for field in page.of("input")[1:6]] == ["1", "2", "3", "4", "5"]
    assert all((study / "for_readers" / source).is_file() for source in page.values("src"))


def test_patches_of_every_size_are_shown_as_256_px_about_their_centre(slides: Path, tmp_path: Path) -> None:
    small = finished_run(tmp_path / "small", slides, (400, 400), 64)
    large = finished_run(tmp_path / "large", slides, (176, 176), 512)
    study = made(tmp_path, [f"small={small}", f"large={large}"])
    # Both patches have their centre at (432, 432), so they are one picture.
    assert len(list((study / "for_readers" / "pictures").iterdir())) == 3 * N_SLIDES


def test_a_hit_is_its_patch_and_seven_patches_around_it(tmp_path: Path) -> None:
    image = cv2.resize(noise(6, 5), (3000, 2600), interpolation=cv2.INTER_CUBIC)
    (tmp_path / "class").mkdir()
    write_pyramid(tmp_path / "class" / "s.tif", image, n_levels=2)
    pictures = StudyPictures(tmp_path, folder_cohort(tmp_path, kind="slides"), View(mpp=1.0))
    # The slide has 0.5 um per pixel: 256 px at 1 um are 512 of its pixels.
    patch, context = pictures.patch("s", 1300, 1000, lambda slide: (100, 100))
    expected = cv2.resize(image[794:1306, 1094:1606], (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels(tmp_path / patch).astype(int) - expected).mean() < 3
    # Seven patches would be 3584 px wide: the surroundings end where the slide does.
    assert pixels(tmp_path / context).shape == (777, 896, 3)
    seen = cv2.resize(image, (896, 777), interpolation=cv2.INTER_AREA)
    is_drawn = np.abs(pixels(tmp_path / context).astype(int) - seen).max(axis=2) > 40
    rows, columns = np.nonzero(is_drawn[:-1])  # the last row is partly outside the slide
    scale = 896 / 3000
    for found, edges in ((columns, (1094, 1606)), (rows, (794, 1306))):
        np.testing.assert_allclose([found.min(), found.max()], np.array(edges) * scale, atol=8)


def test_a_missing_slide_is_reported_and_the_others_go_on(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [f"m{n}={finished_run(tmp_path / f'r{n}', slides, (256, 256))}" for n in range(2)]
    (tmp_path / "s2.tif").unlink()
    assert main(["make", *runs, "--out", str(tmp_path / "study")]) == 3
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 + 2 * (N_SLIDES - 1)
    assert all("s2.tif" in line for line in said)
    key = pd.read_csv(tmp_path / "study" / "key.csv")
    assert "s2" not in set(key["hit_slide"]) | set(key["query_id"])
    assert sorted(key["query_id"].unique()) == ["s0", "s1", "s3"]


def test_a_fault_in_a_sheet_is_one_line_and_nothing_is_written(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(study / "for_readers" / "sheet.csv", dtype=str).assign(shape="3", site="3")
    table.loc[1, "shape"], table.loc[2, "item"] = "7", "other-001A"
    table.to_csv(tmp_path / "ann.csv", index=False)
    assert main(["read", str(study), str(tmp_path / "ann.csv"), "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["row 4", "row 3"]
    assert not (tmp_path / "out").exists()


def test_missing_scores_are_left_out_counted_and_change_the_exit_code(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_csv(study / "for_readers" / "sheet.csv", dtype=str).assign(shape="3", site="3")
    table[:-1].to_csv(tmp_path / "ann.csv", index=False)
    assert main(["read", str(study), str(tmp_path / "ann.csv"), "--out", str(tmp_path / "out")]) == 3
    assert "2 of 32 scores left out" in capsys.readouterr().out


def test_what_makes_no_study_is_one_line(slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished_run(tmp_path / "r0", slides, (0, 0))
    other = pd.read_csv(slides).assign(slide_id=["a", "b", "c", "d"])
    other.to_csv(tmp_path / "other.csv", index=False)
    elsewhere = finished_run(tmp_path / "r1", tmp_path / "other.csv", (0, 0))
    for runs, said in (
        ([f"{run}"], "2 to 26 methods"),
        ([f"{run}", f"{run}"], "write NAME=FOLDER"),
        ([f"a={run}", f"b={tmp_path}"], "no config.yaml"),
        ([f"a={run}", f"b={elsewhere}"], "another cohort"),
    ):
        assert main(["make", *runs, "--out", str(tmp_path / "study")]) == 2
        message = capsys.readouterr().err
        assert said in message
        assert message.count("\n") == 1
    assert not (tmp_path / "study").exists()


def test_a_study_is_never_overwritten(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [f"{name}={study.parent / name}" for name in ("r0", "r1")]
    assert main(["make", *runs, "--out", str(study)]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_run_is_called_after_engine_and_encoder(slides: Path, tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "r0", slides, (0, 0)).rename(tmp_path / "name=r0")
    assert [run.name for run in open_runs([str(folder)])] == ["here, stain_texture"]
    assert [run.name for run in open_runs([f"mine={folder}"])] == ["mine"]
