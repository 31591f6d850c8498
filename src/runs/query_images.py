"""The images that are searched with: opened and checked, cut out of a slide, or halved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Int64
from omegaconf import DictConfig, ListConfig

from src.data.files import written_whole
from src.data.halving import halved
from src.data.mpp import MAX_MPP, MIN_MPP
from src.data.slide import PyramidSlide, open_slide
from src.errors import ConfigError, MppMissing

_BLACK = (0, 0, 0)


@dataclass(frozen=True)
class QueryImage:
    """One image of a query, and where it lies on its file.

    Attributes:
        path: the file, as the user named it.
        corner: left and top of the image on the file, level-0 pixels.
        shrink: level-0 pixels of the file per pixel of the image, in x and y.
    """

    slide: PyramidSlide
    path: str
    corner: tuple[int, int] = (0, 0)
    shrink: tuple[float, float] = (1.0, 1.0)

    @property
    def smaller_side_px(self) -> int:
        """Of width and height."""
        return min(self.slide.width_px, self.slide.height_px)

    def halved(self, halvings: int) -> QueryImage:
        """The same image, smaller; itself at 0."""
        if halvings == 0:
            return self
        slide = halved(self.slide, halvings)
        shrink = self.slide.width_px / slide.width_px, self.slide.height_px / slide.height_px
        return replace(self, slide=slide, shrink=shrink)

    def boxes_on_file(
        self, coords: Int64[np.ndarray, "patch 2"], size: tuple[int, int]
    ) -> Int64[np.ndarray, "patch 4"]:
        """Left, top, width and height of patches, level-0 pixels of the file."""
        sizes = np.broadcast_to(size, coords.shape)
        boxes = np.hstack([coords * self.shrink + self.corner, sizes * self.shrink])
        return np.asarray(np.rint(boxes), dtype=np.int64)


@contextmanager
def opened_images(query: DictConfig, run_dir: Path) -> Iterator[list[QueryImage]]:
    """The images of `query.image`, or the region of the only one.

    Args:
        query: the configuration's block of that name.
        run_dir: a region that is cut out is kept there as query.png.

    Raises:
        ConfigError: a file that is missing, or a region that is malformed or leaves the slide.
        UnreadableSlide: a file that is no image.
        MppMissing: neither file nor configuration says the microns per pixel.
    """
    paths = _paths(query.image)
    _check_mpp(query.mpp)
    if query.region is not None and len(paths) > 1:
        raise ConfigError(f"query.region cuts one image and query.image names {len(paths)}; give one, or no region")
    with ExitStack() as stack:
        images = []
        for path in paths:
            slide = _opened(path, query.mpp)
            stack.callback(slide.close)
            images.append(QueryImage(slide, path))
        yield images if query.region is None else [_cut_out(images[0], query.region, run_dir)]


def _paths(image: str | int | ListConfig) -> list[str]:
    paths = [str(path) for path in image] if isinstance(image, ListConfig) else [str(image)]
    if not paths:
        raise ConfigError("query.image is an empty list; name at least one image or slide")
    for path in paths:
        if not Path(path).is_file():
            raise ConfigError(f"query.image={path}: there is no such file; give an image or a slide")
    return paths


def _check_mpp(mpp: object) -> None:
    if mpp is not None and not (isinstance(mpp, int | float) and MIN_MPP <= mpp <= MAX_MPP):
        raise ConfigError(f"query.mpp is {mpp}; expected {MIN_MPP:g} to {MAX_MPP:g} um per pixel")


def _opened(path: str, mpp: float | None) -> PyramidSlide:
    try:
        return open_slide(Path(path), Path(path).stem, mpp, background=_BLACK)
    except MppMissing as error:
        raise MppMissing(
            f"query {path} does not state its microns per pixel, or none that can be; set query.mpp=0.5 or what it is"
        ) from error


def _cut_out(image: QueryImage, region: object, run_dir: Path) -> QueryImage:
    slide = image.slide
    x, y, width, height = _checked_region(region, slide)
    path = run_dir / "query.png"
    with written_whole(path) as temporary:
        PIL.Image.fromarray(slide.read(x, y, (width, height), slide.mpp)).save(temporary, format="png")
    cut = open_slide(path, f"{slide.slide_id}@{x},{y}", slide.mpp, background=_BLACK)
    return QueryImage(cut, image.path, corner=(x, y))


def _checked_region(region: object, slide: PyramidSlide) -> tuple[int, int, int, int]:
    values: list[Any] = list(region) if isinstance(region, ListConfig) else [region]
    if len(values) != 4 or not all(isinstance(value, int) for value in values) or min(values[2:]) < 1:
        raise ConfigError(f"query.region is {region}; expected [x, y, width, height] in whole level-0 pixels")
    x, y, width, height = values
    if x < 0 or y < 0 or x + width > slide.width_px or y + height > slide.height_px:
        size = f"{slide.width_px} x {slide.height_px}"
        raise ConfigError(f"query.region {region} leaves the query, which is {size} pixels at level 0")
    return x, y, width, height
