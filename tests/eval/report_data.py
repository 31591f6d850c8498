"""Tiny slides and reports for the tests of the reports, and a reader of what they write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any, ClassVar

import cv2
import numpy as np
import pandas as pd

from src.errors import UnreadableSlide
from src.eval.report.protocol import ProtocolReport
from src.eval.report.query import HitView, QueryPicture, QueryReport
from src.eval.summary import CHANCE
from src.interfaces import Image, MppSource

HOSTILE = """<script>alert("x")</script> & $\\frac 'é' src="http://evil.example/x.png\""""


class ArraySlide:
    """A slide held in memory; white outside."""

    def __init__(self, pixels: Image, slide_id: str = "slide", mpp: float = 0.5) -> None:
        self.slide_id = slide_id
        self.height_px, self.width_px = pixels.shape[:2]
        self.mpp = mpp
        self.mpp_source: MppSource = "file"
        self._pixels = pixels

    def read(self, x: int, y: int, size_px: int | tuple[int, int], mpp: float) -> Image:
        width, height = (size_px, size_px) if isinstance(size_px, int) else size_px
        right, bottom = x + round(width * mpp / self.mpp), y + round(height * mpp / self.mpp)
        region = self._pixels[max(0, y) : bottom, max(0, x) : right]
        around = (max(0, -y), max(0, bottom - self.height_px)), (max(0, -x), max(0, right - self.width_px)), (0, 0)
        region = np.pad(region, around, constant_values=255)
        return np.asarray(cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA))

    def overview(self, downsample: float) -> Image:
        size = max(1, round(self.width_px / downsample)), max(1, round(self.height_px / downsample))
        return np.asarray(cv2.resize(self._pixels, size, interpolation=cv2.INTER_AREA))

    def close(self) -> None: ...


class BrokenSlide(ArraySlide):
    """A slide that opens, but none of its pixels can be read."""

    def read(self, x: int, y: int, size_px: int | tuple[int, int], mpp: float) -> Image:
        raise UnreadableSlide(f"{self.slide_id}: truncated")

    def overview(self, downsample: float) -> Image:
        raise RuntimeError("TIFFReadEncodedTile failed")


def noise(side_px: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)


def query_report(n_hits: int, slide_id: str = "slide", side_px: int = 32) -> QueryReport:
    return QueryReport(
        title=f"Search with {slide_id}",
        query_image=f"{slide_id}.png",
        query_pictures=[QueryPicture(slide_id, noise(side_px))],
        facts={"engine": slide_id, "patch_size_px": 256},
        hits=[_hit(rank, slide_id, side_px) for rank in range(1, n_hits + 1)],
        timing={"search_ms": 12.31},
        manifest={"n_rows": 4000, slide_id: slide_id},
        query_labels={"site": "lung"},
    )


def protocol_report(rankings: pd.DataFrame, labels: dict[str, Any], **changes: Any) -> ProtocolReport:
    queries = sorted(set(rankings["query_id"]))
    metric = {"value": 0.5, "macro": 0.4, "ci95": [0.3, 0.7], "n_queries": len(queries), "n_short": 0}
    classes = {str(label): 0.25 for label in labels.values()}
    metrics = dict.fromkeys(("top1", "mAP@5", CHANCE), metric | {"per_class": classes})
    parts: dict[str, Any] = {
        "title": "patch_flat on toy",
        "facts": {"engine": "patch_flat"},
        "metrics": metrics | {CHANCE: metrics[CHANCE] | {"value": 0.25}},
        "rankings": rankings,
        "per_query": pd.DataFrame({"query_id": queries, "label": [labels[query] for query in queries]}),
        "labels": pd.Series(labels),
        "thumbnail": lambda slide_id: noise(24, seed=len(slide_id)),
        "dropped": {"without label": 2},
        "timing": {"search_ms": 3.0},
        "config": "engine: patch_flat\n",
        "links": {"rankings": "rankings.parquet"},
    }
    return ProtocolReport(**(parts | changes))


def ranked(query_id: str, hit_slides: Sequence[str]) -> pd.DataFrame:
    """Rows of `rankings.parquet`: one query and its hits, best first."""
    ranks = range(len(hit_slides))
    return pd.DataFrame(
        {
            "query_id": query_id,
            "query_patient": "patient",
            "rank": ranks,
            "hit_id": hit_slides,
            "hit_slide": hit_slides,
            "hit_patient": "patient",
            "x": 0,
            "y": 0,
            "distance": [0.1 * rank for rank in ranks],
            "score": [-0.1 * rank for rank in ranks],
        }
    )


def _hit(rank: int, slide_id: str, side_px: int) -> HitView:
    return HitView(
        rank=rank,
        slide_id=f"{slide_id}-{rank:04d}",
        patient_id="patient",
        x=1000 * rank,
        y=7,
        distance=0.1 * rank,
        score=-0.1 * rank,
        labels={"site": "lung" if rank % 2 else "liver", "structure": slide_id},
        patch=noise(side_px, rank),
        context=noise(side_px, rank + 1),
        slide=noise(side_px, rank + 2),
    )


class Page(HTMLParser):
    """What a browser makes of a page: its text, its elements, and whether they are nested rightly."""

    _VOID: ClassVar = {"br", "img", "input", "meta"}

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

    def of(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    def with_class(self, name: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.elements if name in attributes.get("class", "").split()]


def assert_needs_nothing_beside_it(html: str) -> None:
    page = Page(html)
    assert not page.of("script", "link", "iframe", "object", "embed", "base")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all(source.startswith("data:image/") for source in page.values("src"))
    assert not [link for link in page.values("href") + page.values("xlink:href") if ":" in link or link[:1] == "/"]
    assert all(target == "#" for target in re.findall(r"url\(\s*(.)", html))
