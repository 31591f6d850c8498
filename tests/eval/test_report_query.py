from __future__ import annotations

import base64
import io
import math
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest

from src.eval.report.query import MAX_PICTURED, QueryPicture, QueryReport, ScaleView, write_query_report
from src.models.predicted import Predicted
from tests.eval.report_data import HOSTILE, Page, assert_needs_nothing_beside_it, noise, query_report


def html_of(report: QueryReport, tmp_path: Path) -> str:
    path = tmp_path / "report.html"
    write_query_report(path, report)
    return path.read_text(encoding="utf-8")


def test_every_hit_is_on_the_page_in_order(tmp_path: Path) -> None:
    report = query_report(n_hits=MAX_PICTURED + 20)
    text = Page(html_of(report, tmp_path)).text
    places = [text.index(hit.slide_id) for hit in report.hits]
    assert places == sorted(places)


def test_hit_has_three_pictures_that_decode(tmp_path: Path) -> None:
    sources = Page(html_of(query_report(n_hits=2), tmp_path)).values("src")
    assert len(sources) == 1 + 3 * 2
    for source in sources:
        picture = PIL.Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
        assert picture.size == (32, 32)


def test_a_report_that_was_found_stands_beside_its_slide_alone(tmp_path: Path) -> None:
    found = query_report(n_hits=2)
    page = Page(html_of(replace(found, hits=[replace(hit, report="a & b") for hit in found.hits]), tmp_path))
    assert page.text.count("a & b") == 2
    assert len(page.values("src")) == 1 + 2


def test_page_needs_nothing_beside_it(tmp_path: Path) -> None:
    assert_needs_nothing_beside_it(html_of(query_report(n_hits=3, slide_id=HOSTILE), tmp_path))


def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    html = html_of(query_report(n_hits=3, slide_id=HOSTILE), tmp_path)
    assert "<script" not in html
    assert Page(html).text.count(f"{HOSTILE}-000") == 3


def test_no_hits_is_said(tmp_path: Path) -> None:
    page = Page(html_of(query_report(n_hits=0), tmp_path))
    assert "Nothing was found" in page.text
    assert len(page.of("img")) == 1


def test_large_pictures_of_many_hits_stay_below_six_megabytes(tmp_path: Path) -> None:
    small = query_report(n_hits=MAX_PICTURED + 50)
    big = query_report(n_hits=1, side_px=700).hits[0]
    hits = [replace(big, rank=hit.rank, slide_id=hit.slide_id) for hit in small.hits]
    assert len(html_of(replace(small, hits=hits), tmp_path)) < 6e6


def test_labels_that_agree_with_the_query_are_told_from_others(tmp_path: Path) -> None:
    page = Page(html_of(query_report(n_hits=3), tmp_path))
    assert (len(page.with_class("good")), len(page.with_class("bad"))) == (2, 1)
    assert (page.text.count("lung ✓"), page.text.count("liver ✗")) == (2, 1)


def test_bars_fall_with_the_score(tmp_path: Path) -> None:
    styles = [bar["style"] for bar in Page(html_of(query_report(n_hits=3), tmp_path)).of("i")]
    assert styles == ["width:100.0%", "width:53.0%", "width:6.0%"]


def test_equal_scores_have_full_bars(tmp_path: Path) -> None:
    report = query_report(n_hits=2)
    same = replace(report, hits=[replace(hit, score=1.0) for hit in report.hits])
    assert [bar["style"] for bar in Page(html_of(same, tmp_path)).of("i")] == ["width:100.0%"] * 2


def test_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = html_of(query_report(n_hits=1), tmp_path)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_query_report(tmp_path / "report.html", query_report(n_hits=2))
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == old


def test_chance_is_shown_where_the_index_has_a_background(tmp_path: Path) -> None:
    report = query_report(n_hits=1)
    assert "adjusted" not in Page(html_of(report, tmp_path)).text
    hit = replace(report.hits[0], z=-3.25, p=0.002, p_adjusted=0.019)
    text = Page(html_of(replace(report, hits=[hit]), tmp_path)).text
    assert "-3.25" in text
    assert "0.002, adjusted 0.019" in text


def test_heat_map_is_a_fourth_picture(tmp_path: Path) -> None:
    report = query_report(n_hits=2)
    hits = [replace(report.hits[0], heat=noise(32)), report.hits[1]]
    page = Page(html_of(replace(report, hits=hits), tmp_path))
    assert len(page.of("img")) == 1 + 4 + 3
    assert len(page.with_class("wide")) == 1


def test_every_image_of_the_query_is_shown_with_its_name(tmp_path: Path) -> None:
    pictures = [QueryPicture(name, noise(32)) for name in ("first", "second", "third")]
    page = Page(html_of(replace(query_report(n_hits=0), query_pictures=pictures), tmp_path))
    assert len(page.of("img")) == 3
    assert all(name in page.text for name in ("first", "second", "third"))


def test_scale_that_is_shown_stands_out_and_the_nearest_has_the_longest_bar(tmp_path: Path) -> None:
    scales = [
        ScaleView(0, noise(8), 12, "a", 0.3, -1.0, 0.2, is_shown=False),
        ScaleView(1, noise(8), 3, HOSTILE, 0.2, -4.0, 0.0, is_shown=True),
        ScaleView(2, noise(8), 1, "", math.nan, math.inf, math.nan, is_shown=False),
    ]
    html = html_of(replace(query_report(n_hits=0), scales=scales), tmp_path)
    page = Page(html)
    assert len(page.with_class("shown")) == 1
    assert [bar["style"] for bar in page.of("i")] == ["width:6.0%", "width:100.0%", "width:0.0%"]
    assert_needs_nothing_beside_it(html)


def test_predictions_are_bars_and_the_rest_is_folded_away(tmp_path: Path) -> None:
    classes = [Predicted("TP53_cls", "class", 0.75, "loss")]
    numbers = [Predicted(f"HALLMARK_{i}_sum", "number", float(i)) for i in range(-4, 5)]
    page = Page(html_of(replace(query_report(n_hits=0), predictions=[*classes, *numbers]), tmp_path))
    assert "TP53 loss" in page.text
    assert "all 9 numbers" in page.text
    assert len(page.of("i")) == 1 + 6 + 9
