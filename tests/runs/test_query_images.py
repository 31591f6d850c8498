from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from omegaconf import OmegaConf

from src.errors import HistoseekError
from src.runs.query_images import opened_images
from tests.runs.conftest import region

PLAIN = {"image": None, "mpp": 0.5, "region": None, "patient": None, "halvings": 0}


@pytest.fixture
def image(tmp_path: Path) -> str:
    PIL.Image.fromarray(region(0, (200, 120, 170), (301, 221))).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def corners(tmp_path: Path, halvings: int = 0, **query: Any) -> list[list[int]]:
    """Where a patch of 20 x 10 px at (30, 50) of each image lies on its file."""
    with opened_images(OmegaConf.create({**PLAIN, **query}), tmp_path) as images:
        halved = [image.halved(halvings) for image in images]
        boxes = [image.boxes_on_file(np.array([[30, 50]]), (20, 10)) for image in halved]
    return [box[0].tolist() for box in boxes]


def test_patches_of_a_region_and_of_a_halved_image_are_placed_on_the_file(tmp_path: Path, image: str) -> None:
    assert corners(tmp_path, image=[image, image]) == [[30, 50, 20, 10]] * 2
    assert corners(tmp_path, image=image, region=[7, 9, 200, 200]) == [[37, 59, 20, 10]]
    assert corners(tmp_path, image=image, region=[7, 9, 200, 200], halvings=1) == [[67, 109, 40, 20]]
    assert corners(tmp_path, image=image, halvings=2) == [[round(30 * 301 / 75), round(50 * 221 / 55), 80, 40]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": ["{a}", "b.png"]}, "query.image=b.png: there is no such file"),
        ({"image": []}, "query.image is an empty list"),
        ({"image": ["{a}", "{text}"]}, "cannot be opened as a slide or image"),
        ({"mpp": None}, "set query.mpp=0.5"),
        ({"mpp": 900}, "query.mpp is 900; expected 0.05 to 20"),
        ({"mpp": "half"}, "query.mpp is half"),
        ({"image": ["{a}", "{a}"], "region": [0, 0, 9, 9]}, "query.region cuts one image and query.image names 2"),
        ({"region": [0, 0, 302, 9]}, "which is 301 x 221 pixels"),
        ({"region": [-1, 0, 9, 9]}, "leaves the query"),
        ({"region": [0, 0, 9]}, r"expected \[x, y, width, height\]"),
        ({"region": [0, 0, 9, 0]}, r"expected \[x, y, width, height\]"),
        ({"region": "all"}, r"expected \[x, y, width, height\]"),
    ],
)
def test_query_that_cannot_be_opened_is_one_line(
    tmp_path: Path, image: str, changes: dict[str, Any], message: str
) -> None:
    text = tmp_path / "notes.png"
    text.write_text("no image")
    query = {**PLAIN, "image": image, **changes}
    if isinstance(query["image"], list):
        query["image"] = [path.format(a=image, text=text) for path in query["image"]]
    with (
        pytest.raises(HistoseekError, match=message) as raised,
        opened_images(OmegaConf.create(query), tmp_path),
    ):
        pytest.fail("it was opened")
    assert "\n" not in str(raised.value)
